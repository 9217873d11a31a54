"""A member put into a JSON text: where it goes, and that no other byte changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.http.splice import with_member
from tests.server.http.test_shapes import JSON

PATH = ("response", "metadata")
OBJECTS = st.dictionaries(st.sampled_from(["metadata", "response", "a", 'q"', "\\"]), JSON, max_size=4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"response":{}}', b'{"response":{"metadata":{"k":"v"}}}'),
        (b'{"response": {"n": 1.10e2} }', b'{"response": {"metadata":{"k":"v"},"n": 1.10e2} }'),
        (b'{"response":{"metadata": null}}', b'{"response":{"metadata": {"k":"v"}}}'),
        (b'{"response":{"metadata":{ }}}', b'{"response":{"metadata":{"k":"v" }}}'),
        (b'{"response":{"metadata":{"a":"b"}}}', b'{"response":{"metadata":{"k":"v","a":"b"}}}'),
        (
            b'{"x":{"response":{}},"r":"response","response":{"output":["metadata",{"metadata":1}]}}',
            (
                b'{"x":{"response":{}},"r":"response",'
                b'"response":{"metadata":{"k":"v"},"output":["metadata",{"metadata":1}]}}'
            ),
        ),
        (b'{"\\u0072esponse":{}}', b'{"\\u0072esponse":{"metadata":{"k":"v"}}}'),
        (
            b'{"a":"\\"response\\":{","response":{}}',
            b'{"a":"\\"response\\":{","response":{"metadata":{"k":"v"}}}',
        ),
    ],
)
def test_the_member_goes_where_it_belongs(text: bytes, expected: bytes) -> None:
    assert expected == with_member(text, PATH, "k", "v")


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b'{"response":[]}',
        b'{"response":{"metadata":[]}}',
        b'{"response":{"metadata":{"k":"w"}}}',
        b'{"response":{},"response":{}}',
        b'{"response":{"metadata":{},"metadata":{}}}',
    ],
)
def test_what_one_insertion_cannot_do_is_left_to_others(text: bytes) -> None:
    assert with_member(text, PATH, "k", "v") is None


@given(OBJECTS, OBJECTS, st.none() | st.dictionaries(st.text(max_size=2), st.text(max_size=3), max_size=3))
def test_reading_it_gives_the_object_with_the_member(
    outer: dict[str, Any], response: dict[str, Any], metadata: dict[str, str] | None
) -> None:
    body = {**outer, "response": {**response, "metadata": metadata}}
    text = with_member(json.dumps(body, indent=1).encode(), PATH, "key", "value")
    if metadata is not None and "key" in metadata:
        assert text is None
        return
    assert text is not None
    expected = {**body, "response": {**response, "metadata": {**(metadata or {}), "key": "value"}}}
    assert expected == json.loads(text)
