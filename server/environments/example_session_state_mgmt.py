"""NeMo Gym's example of a stateful environment: a counter that two tools share.

The counter is a file of the session, so it lasts as long as the session does and no longer, and what is
judged is the file that the dead session left.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from server.environment import Environment, Rollout, Session, Verdict
from tools.registry import tool

COUNTER = "counter.txt"


@attrs.frozen
class CounterTask:
    """A row: where the counter starts, and where it must be in the end."""

    initial_count: int
    expected_count: int


@tool
def increment_counter(state: dict[str, Any], count: int) -> dict[str, Any]:
    """Add to the counter."""
    del state
    counter = Path(COUNTER)
    counter.write_text(str(int(counter.read_text()) + count))
    return {"success": True}


@tool
def get_counter_value(state: dict[str, Any]) -> dict[str, Any]:
    """Look at the counter."""
    del state
    return {"count": int(Path(COUNTER).read_text())}


class ExampleSessionStateMgmt(Environment[CounterTask]):
    """Bring the counter to the expected value."""

    tools = (increment_counter, get_counter_value)

    async def seed_session(self, session: Session, task: CounterTask) -> None:
        """Set the counter."""
        await session.write_file(COUNTER, str(task.initial_count))

    async def verify(self, rollout: Rollout[CounterTask]) -> Verdict:
        """Read the counter."""
        reached = rollout.final_state.text(COUNTER, default="")
        return Verdict(reward=float(reached == str(rollout.task.expected_count)))
