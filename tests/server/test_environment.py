"""What users subclass: names, tasks, tools, and what a rollout shows."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from sandbox.final_state import FinalState
from sandbox.profile import Profile
from server.environment import Environment, Rollout
from tools.registry import ToolError, tool


@attrs.frozen
class Task:
    expected: str


class SumOfHTTPParts(Environment[Task]):
    """Has no name of its own."""


class Further(SumOfHTTPParts):
    name = "another"


class Untyped(Environment):  # type: ignore[type-arg]  # as a user may write it
    """Has no task class."""


def test_the_name_is_that_of_the_class_in_snake_case() -> None:
    assert ("sum_of_httpparts", "another", "untyped") == (SumOfHTTPParts.name, Further.name, Untyped.name)


def test_the_task_class_is_inherited_and_else_the_row_itself() -> None:
    assert (Task, Task, dict) == (SumOfHTTPParts.task_type(), Further.task_type(), Untyped.task_type())


@tool
def python(state: dict[str, Any]) -> str:
    """Return nothing of note."""
    return ""


def test_two_tools_of_one_name_are_refused() -> None:
    class Twice(Environment[Task]):
        tools = ("python", python)

    with pytest.raises(ToolError, match="two tools are named 'python'"):
        _ = Twice().toolbox


def test_an_unknown_tool_is_refused() -> None:
    class Unknown(Environment[Task]):
        tools = ("pyton",)

    with pytest.raises(ToolError, match="pyton"):
        _ = Unknown().toolbox


def rollout(output: Any) -> Rollout[Task]:
    launcher: Any = None
    return Rollout(Task(""), {"output": output}, FinalState(), launcher=launcher, verifier=Profile())


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (None, ""),
        ("text", ""),
        ([], ""),
        ([1, None, "x"], ""),
        ([{"type": "message", "role": "assistant", "content": "said"}], "said"),
        ([{"role": "assistant", "content": "said"}, {"type": "function_call"}], "said"),
        ([{"role": "assistant", "content": "said"}, {"role": "user", "content": "heard"}], "said"),
        ([{"role": "assistant", "content": [{"text": "a"}, {"text": None}, 3, {"text": "b"}]}], "ab"),
        ([{"role": "assistant", "content": "first"}, {"role": "assistant", "content": []}], ""),
    ],
)
def test_the_final_text_is_the_last_assistant_message(output: Any, text: str) -> None:
    assert text == rollout(output).final_text
