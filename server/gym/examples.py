"""Rows of an environment and their rollouts, made by playing them in real sessions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.house import open_house
from server.redteam.attempt import Attempt
from server.redteam.command import read_rows, rows_of
from server.redteam.connection import InProcess
from server.redteam.player import play
from server.redteam.target import Target

if TYPE_CHECKING:
    from server.environment import Environment
    from server.settings import Settings

HOW_MANY = 5


def example_rows(environment: Environment[Any], file: Path | None) -> list[dict[str, Any]]:
    """Return the first five rows of a file, or those that come with the environment.

    Every row gets the environment's tools, unless it names its own.

    Raises:
        server.redteam.command.NothingToAttackError: there are none.
    """
    if file is not None:
        rows: Sequence[Mapping[str, Any]] = read_rows(file, HOW_MANY)
    elif environment.name == "example_session_state_mgmt":
        rows = _counting()
    else:
        rows = rows_of(environment)[:HOW_MANY]
    return [_with_tools(row, environment.toolbox.definitions()) for row in rows]


async def example_rollouts(settings: Settings, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Play each row: its reference solution where it has one, else an agent that does nothing.

    Raises:
        server.errors.StartupError: no server can be opened here.
    """
    rollouts: list[dict[str, Any]] = []
    async with open_house(settings) as house:
        tools = house.sessions.environment.toolbox.tools
        for number, row in enumerate(rows):
            attempt = Target.of(row, tools).oracle() or Attempt(label="nothing")
            placed = {**row, "_ng_task_index": number, "_ng_rollout_index": 0}
            rollouts.append(dict((await play(InProcess(house.front), placed, attempt)).reply))
    return rollouts


def lines(values: Sequence[Mapping[str, Any]]) -> str:
    """Return JSON lines."""
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def _with_tools(row: Mapping[str, Any], definitions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    params = {"tools": list(definitions), **row.get("responses_create_params", {"input": []})}
    return {**row, "responses_create_params": params}


def _counting() -> list[dict[str, Any]]:
    """Return rows of the counter: the last of them asks for a number that its reference does not reach."""
    rows: list[dict[str, Any]] = []
    for start, steps, off in ((3, (1, 2), 0), (0, (7,), 0), (10, (-4, 4), 0), (5, (), 0), (1, (1, 1), 1)):
        words = ", then ".join([*(f"add {step}" for step in steps), "look at the counter"])
        calls: list[Any] = [["increment_counter", {"count": step}] for step in steps]
        rows.append(
            {
                "responses_create_params": {"input": [{"role": "user", "content": words}]},
                "initial_count": start,
                "expected_count": start + sum(steps) + off,
                "oracle": {"calls": [*calls, ["get_counter_value", {}]]},
            }
        )
    return rows
