"""How observations read: fixed keys in a fixed order, and the supervisor's word over the far side's."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.observation import Observation, Outcome
from server.observations import render
from tools.registry import Tool

PLAIN = Tool(name="plain", description="", function=lambda state: None)
STREAMING = Tool(
    name="streaming", description="", function=lambda state: None, streams=True, empty={"result": None}
)


@pytest.mark.parametrize(
    ("value", "body"),
    [
        ({"outcome": "ok", "content": "x"}, {"outcome": "ok", "content": "x"}),
        ({"success": True}, {"success": True}),
        ("text", {"outcome": "ok", "result": "text"}),
        (None, {"outcome": "ok", "result": None}),
        ([1], {"outcome": "ok", "result": [1]}),
    ],
)
def test_what_a_plain_tool_returns_is_its_reply(value: Any, body: dict[str, Any]) -> None:
    assert body == render(PLAIN, Observation(outcome=Outcome.OK, value=value))


def test_a_plain_tool_that_raised_says_what() -> None:
    observation = Observation(outcome=Outcome.ERROR, error="LookupError: no such file: a")
    assert {"outcome": "error", "error": "LookupError: no such file: a"} == render(PLAIN, observation)


def test_streams_come_first_and_then_the_value() -> None:
    observation = Observation(outcome=Outcome.OK, value={"result": "1"}, stdout="a", stderr="b")
    body = render(STREAMING, observation)
    assert [("outcome", "ok"), ("stdout", "a"), ("stderr", "b"), ("result", "1")] == list(body.items())


def test_a_tool_that_did_not_return_has_its_empty_value() -> None:
    observation = Observation(
        outcome=Outcome.TIMEOUT, stdout="a", error="too slow", truncated=("stdout",), interpreter_reset=True
    )
    assert {
        "outcome": "timeout",
        "stdout": "a",
        "stderr": "",
        "result": None,
        "error": "too slow",
        "interpreter_reset": True,
        "truncated": ["stdout"],
    } == render(STREAMING, observation)


def test_the_far_side_cannot_change_the_outcome_or_what_was_printed() -> None:
    lie = {"outcome": "ok", "stdout": "lie", "result": "1"}
    body = render(STREAMING, Observation(outcome=Outcome.ERROR, value=lie, stdout="truth"))
    assert ("error", "truth", "1") == (body["outcome"], body["stdout"], body["result"])
    assert "error" == render(PLAIN, Observation(outcome=Outcome.ERROR, value=lie))["outcome"]
