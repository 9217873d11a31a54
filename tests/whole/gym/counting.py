"""The environment that the agents play: NeMo Gym's counter, and tools that go wrong."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from server.environments import example_session_state_mgmt as example
from tools.registry import Tool, tool


@tool
def explode(state: dict[str, Any]) -> None:
    """Raise."""
    del state
    msg = "boom"
    raise RuntimeError(msg)


@tool
def dawdle(state: dict[str, Any], seconds: float) -> str:
    """Take long."""
    del state
    time.sleep(seconds)
    return "at last"


class Counting(example.ExampleSessionStateMgmt):
    """Bring the counter to the expected value."""

    tools: ClassVar[tuple[Tool, ...]] = (  # type: ignore[assignment]  # more than the example's two
        example.increment_counter,
        example.get_counter_value,
        explode,
        dawdle,
    )
