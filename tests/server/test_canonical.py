"""One spelling for each JSON value: what is the same in it, and what is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from server.canonical import canonical, digest
from tests.server.http.test_shapes import JSON


def test_order_blanks_and_nulls_are_no_difference() -> None:
    one, other = {"b": [1, {"x": None}], "a": "é"}, {"a": "é", "c": None, "b": [1, {}]}
    assert b'{"a":"\\u00e9","b":[1,{}]}' == canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (1, True), (0, None), ([None], []), ("1", 1), ("é", "e\u0301"), ({}, [])]
)
def test_different_values_have_different_digests(one: Any, other: Any) -> None:
    assert digest(one) != digest(other)


@given(JSON)
def test_the_spelling_is_the_same_after_a_way_through_json(value: Any) -> None:
    assert canonical(value) == canonical(json.loads(json.dumps(value, indent=1)))
