"""What `/step` is asked: what fits, what does not and where, and what becomes of a rollout's steps."""

from __future__ import annotations

import json
from typing import Any

import pytest

from server.errors import InvalidBody, NotJson
from server.http.shapes import MAX_PROBLEMS
from server.http.steps import StepCall, StepRequest

CALL = {"type": "function_call", "name": "add", "call_id": "c1", "arguments": '{"by": 1}'}
SAID = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "done"}]}


def parse(*output: Any, **more: Any) -> StepRequest:
    body = {"expected": 1, "response": {"id": "r", "output": output}, **more}
    return StepRequest.parse(json.dumps(body).encode())


def test_calls_and_text_are_found() -> None:
    step = parse({"type": "reasoning", "summary": []}, SAID, CALL, _ng_step_request_id="a")
    assert (StepCall("add", "c1", '{"by": 1}'),) == step.calls
    assert ("done", "a", 3) == (step.text, step.name, len(step.items))


def test_what_agents_add_on_the_way_is_no_part_of_the_row() -> None:
    plain = parse()
    assert plain.row == parse(_ng_step_request_id="a", _ng_task_index=3, agent_ref={"name": "a"}).row
    assert "expected" == parse(expected=2).row.differs_in(plain.row)


@pytest.mark.parametrize(
    ("body", "kind", "loc"),
    [
        ([], "dict_type", []),
        ({}, "missing", ["response"]),
        ({"response": None}, "missing", ["response"]),
        ({"response": 1}, "dict_type", ["response"]),
        ({"response": {}}, "missing", ["response", "output"]),
        ({"response": {"output": "x"}}, "list_type", ["response", "output"]),
        ({"response": {"output": [SAID, 1]}}, "dict_type", ["response", "output", 1]),
        (
            {"response": {"output": [{"type": "function_call", "name": "a", "arguments": "{}"}]}},
            "missing",
            ["response", "output", 0, "call_id"],
        ),
        (
            {"response": {"output": [SAID, {**CALL, "arguments": {}}]}},
            "string_type",
            ["response", "output", 1, "arguments"],
        ),
        ({"response": {"output": [{**CALL, "name": 1}]}}, "string_type", ["response", "output", 0, "name"]),
        ({"response": {"output": []}, "_ng_step_request_id": 1}, "string_type", ["_ng_step_request_id"]),
        ({"response": {"output": []}, "_ng_step_request_id": ""}, "string_type", ["_ng_step_request_id"]),
    ],
)
def test_what_does_not_fit_is_named(body: Any, kind: str, loc: list[Any]) -> None:
    with pytest.raises(InvalidBody) as caught:
        StepRequest.parse(json.dumps(body).encode())
    (problem,) = caught.value.details
    assert (kind, ["body", *loc]) == (problem["type"], problem["loc"])


@pytest.mark.parametrize("item", [1, {"type": "function_call"}])
def test_only_so_many_problems_are_told(item: Any) -> None:
    with pytest.raises(InvalidBody) as caught:
        parse(*[item] * 1000)
    assert MAX_PROBLEMS == len(caught.value.details)


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"response":{"output":[{]}}'])
def test_what_is_no_json_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(NotJson):
        StepRequest.parse(body)


def test_a_verify_has_the_output_of_all_steps_and_the_rest_of_the_last() -> None:
    first = parse({**CALL, "prompt_token_ids": [1] * 100, "generation_token_ids": [2]})
    last = parse(SAID, _ng_step_request_id="b", other=1.10)
    request = last.verification([*first.items, *last.items])
    assert {"id": "r", "output": [CALL, SAID]} == request.response
    assert {"expected": 1, "other": 1.1} == request.body
    assert request.row == last.row
