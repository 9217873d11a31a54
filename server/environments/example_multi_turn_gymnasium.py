"""A user who follows up, for agents that play by `/reset` and `/step`: the rows say what is asked next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs

from server.environment import Environment, Rollout, Session, Verdict


@attrs.frozen
class Dialogue:
    """A row.

    Attributes:
        follow_ups: what the user says after each turn of the model.
        expected_answer: what the last one must contain.
    """

    follow_ups: Sequence[str] = ()
    expected_answer: str = ""


class ExampleMultiTurnGymnasium(Environment[Dialogue]):
    """Reward 1.0 if the last answer contains the expected one."""

    stateless = True
    examples: ClassVar[Sequence[Mapping[str, Any]]] = (
        {
            "responses_create_params": {"input": [{"role": "user", "content": "What is 6 times 7?"}]},
            "follow_ups": ["And half of that?", "And the square root of 441?"],
            "expected_answer": "21",
            "oracle": {"calls": [], "text": "Both are 21."},
        },
        {
            "responses_create_params": {
                "input": [{"role": "user", "content": "Which river flows by Cologne?"}]
            },
            "follow_ups": ["Into which sea does it flow?"],
            "expected_answer": "North Sea",
            "oracle": {"calls": [], "text": "Into the North Sea."},
        },
    )

    async def observe(self, session: Session, task: Dialogue, said: Sequence[str]) -> str | None:
        """Ask the next thing."""
        del session
        return task.follow_ups[len(said) - 1] if 0 < len(said) <= len(task.follow_ups) else None

    async def verify(self, rollout: Rollout[Dialogue]) -> Verdict:
        """Look for the answer."""
        expected = rollout.task.expected_answer.lower()
        return Verdict(float(bool(expected) and expected in rollout.final_text.lower()))
