"""Rows of an environment and their rollouts, made by playing them in real sessions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.house import open_house
from server.playing.agent import play
from server.playing.connection import InProcess
from server.playing.reference import reference_script
from server.playing.rows import read_rows, rows_of
from server.playing.script import Script

if TYPE_CHECKING:
    from server.environment import Environment
    from server.settings import Settings

HOW_MANY = 5


def example_rows(environment: Environment[Any], file: Path | None) -> list[dict[str, Any]]:
    """Return the first five rows of a file, or those that come with the environment.

    Every row gets the environment's tools, unless it names its own.

    Raises:
        server.playing.rows.NoRowsError: there are none.
    """
    if file is not None:
        rows: Sequence[Mapping[str, Any]] = read_rows(file, HOW_MANY)
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
            script = reference_script(row, tools) or Script()
            placed = {**row, "_ng_task_index": number, "_ng_rollout_index": 0}
            rollouts.append(await play(InProcess(house.front), placed, script))
    return rollouts


def lines(values: Sequence[Mapping[str, Any]]) -> str:
    """Return JSON lines."""
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def _with_tools(row: Mapping[str, Any], definitions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    params = {"tools": list(definitions), **row.get("responses_create_params", {"input": []})}
    return {**row, "responses_create_params": params}
