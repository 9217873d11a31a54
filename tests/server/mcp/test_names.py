"""Names of tools in trajectories: whatever a model wrote, nothing is lost and nothing raised."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given

from server.mcp.names import bare_names
from tests.server.http.test_shapes import JSON


@given(JSON)
def test_a_trajectory_of_any_form_is_left_alone(value: Any) -> None:
    for response in (
        {"output": value},
        {"output": [value]},
        {"output": [{"type": "function_call", "name": value}]},
    ):
        assert response is bare_names(response, "a")


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("mcp__a__tool", "tool"),
        ("mcp__a__two__parts", "two__parts"),
        ("mcp__b__tool", "mcp__b__tool"),
        ("mcp__a_tool", "mcp__a_tool"),
        ("tool", "tool"),
    ],
)
def test_only_this_servers_names_are_made_bare(name: str, bare: str) -> None:
    message = {"type": "message", "name": "mcp__a__tool"}
    response = {"id": "r", "output": [message, {"type": "function_call", "name": name, "arguments": "{}"}]}
    before = copy.deepcopy(response)
    assert {
        "id": "r",
        "output": [message, {"type": "function_call", "name": bare, "arguments": "{}"}],
    } == bare_names(response, "a")
    assert before == response
