"""What a server refuses before it has started anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from server.errors import StartupError
from server.house import open_house
from server.settings import Settings

SOURCE = """
from server import Environment
from tools import tool

@tool
def {name}(state) -> str:
    'Do it.'

class Mine(Environment):
    tools = ({name},)

    async def verify(self, rollout): ...
"""


@pytest.mark.parametrize("name", ["verify", "seed_session", "aggregate_metrics", "mcp", "sandboxes"])
async def test_a_tool_with_the_name_of_a_route_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine.py").write_text(SOURCE.format(name=name))
    with pytest.raises(StartupError, match=f"a tool cannot be named '{name}'"):
        async with open_house(Settings(environment=f"{tmp_path}/mine.py:Mine")):
            pass


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({}, "judged by a language model, and there is none: set judge_url"),
        ({"judge_url": "localhost:1", "judge_model": "m"}, "must begin with http"),
    ],
)
async def test_a_judge_that_cannot_be_asked_is_refused_before_the_first_rollout(
    wishes: dict[str, Any], words: str
) -> None:
    with pytest.raises(StartupError, match=words):
        async with open_house(Settings(environment="equivalence_llm_judge", **wishes)):
            pass
