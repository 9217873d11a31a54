"""Bytes to requests and back: what is echoed, what counts as the same row, what is no JSON."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import STATUS, ClientError, InvalidBody, NotJson, ServerError
from server.http.requests import Row, SeedRequest, VerifyRequest
from server.http.wire import dump, internal_error, parse, refusal
from tests.server.http.test_shapes import JSON, Part

OBJECTS = st.dictionaries(st.text(max_size=5), JSON, max_size=4)


def test_replies_are_compact_and_as_they_are_read() -> None:
    assert '{"a":[1,"é"]}'.encode() == dump({"a": [1, "é"]})


def test_half_a_surrogate_pair_is_escaped() -> None:
    assert b'"\\ud800"' == dump("\ud800")


@given(JSON)
def test_what_is_dumped_is_parsed_back(value: Any) -> None:
    assert value == parse(dump(value))


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_nothing_reads_as_null(body: bytes) -> None:
    assert parse(body) is None


@pytest.mark.parametrize(
    "body", [b"{", b"NaN", b'{"a":Infinity}', b"\xff", b'"\xed\xa0\x80"', b"[" * 100_000, b"{}x"]
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(NotJson):
        parse(body)


def test_trajectories_may_hold_infinities() -> None:
    body = b'{"row":1,"response":{"logprob":-Infinity}}'
    assert b'{"row":1,"response":{"logprob":-Infinity},"reward":1.0}' == VerifyRequest.parse(body).echo(
        {"reward": 1.0}
    )


@given(st.binary(max_size=40))
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    for read in (parse, VerifyRequest.parse):
        with contextlib.suppress(NotJson, InvalidBody):
            read(body)


@given(OBJECTS, OBJECTS)
def test_an_echo_is_the_body_and_the_fields_and_the_fields_win(
    body: dict[str, Any], fields: dict[str, Any]
) -> None:
    raw = json.dumps(body, indent=1).encode()
    assert body | fields == json.loads(VerifyRequest.parse(raw).echo(fields))


def test_an_echo_repeats_the_values_as_they_were_written() -> None:
    raw = (
        b' {"x": 1.10e2, "n": 123456789012345678901234567890, "reward": 7, "response": {"a": [1.0,  2e0]}} \n'
    )
    assert (
        b'{"x":1.10e2,"n":123456789012345678901234567890,"response":{"a": [1.0,  2e0]},"reward":0.0}'
        == VerifyRequest.parse(raw).echo({"reward": 0.0})
    )


@pytest.mark.parametrize(
    "value",
    ["NaN", "[-Infinity]", '"\\ud800"', "1" * 400, "1e400", "-0.0", '{"a":{"a":1}}', "[1,2.5,null,true]"],
)
def test_a_trajectory_is_read_as_the_standard_library_reads_it(value: str) -> None:
    raw = f'{{"response":{{"x":{value}}}}}'
    read = VerifyRequest.parse(raw.encode()).response
    assert repr(json.loads(raw)["response"]) == repr(read)


@pytest.mark.parametrize("body", [b'{"a":1}', b'{"response":null}', b'{"response":[]}'])
def test_a_verify_needs_a_response(body: bytes) -> None:
    with pytest.raises(InvalidBody) as caught:
        _ = VerifyRequest.parse(body).response
    assert ["body", "response"] == caught.value.details[0]["loc"]


def test_a_seed_is_structured_strictly() -> None:
    assert Part(1) == SeedRequest.parse(b'{"count":1,"agent_ref":{}}', Part).task
    with pytest.raises(InvalidBody):
        SeedRequest.parse(b'{"count":"1"}', Part)


def row(**fields: Any) -> Row:
    return Row.of(fields)


def test_what_agents_add_and_change_on_the_way_is_no_difference() -> None:
    seeded = row(expected=1, responses_create_params={"input": [1], "tools": None}, _ng_task_index=0)
    verified = row(
        expected=1,
        responses_create_params={"input": [1]},
        _ng_rollout_index=3,
        agent_ref={},
        response={},
        more=1,
    )
    assert seeded.differs_in(verified) is None


@pytest.mark.parametrize(
    "other", [{}, {"expected": 2}, {"expected": "1"}, {"expected": True}, {"expected": None}]
)
def test_another_task_is_a_difference(other: dict[str, Any]) -> None:
    assert "expected" == row(expected=1).differs_in(Row.of(other))


@given(OBJECTS)
def test_the_order_of_keys_is_no_difference(body: dict[str, Any]) -> None:
    assert Row.of(body) == Row.of(dict(reversed(body.items())))


def test_every_error_that_a_client_can_meet_has_a_status() -> None:
    for root in (ClientError, ServerError):
        for error in root.__subclasses__():
            assert 400 <= STATUS[error] < 600


def test_a_bug_of_ours_is_answered_with_an_id_only() -> None:
    reply = internal_error("abcd")
    assert (500, b'{"detail":"Internal Server Error (incident abcd)"}') == (reply.status, reply.body)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_refusal_does_not_repeat_what_is_no_json(number: float) -> None:
    problem = {"type": "dict_type", "loc": ["body", "files"], "msg": "no", "input": number}
    reply = refusal(InvalidBody([problem]))
    assert (422, [{**problem, "input": None}]) == (reply.status, json.loads(reply.body)["detail"])
