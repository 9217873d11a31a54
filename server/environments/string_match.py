r"""A short answer as text: in a box, behind ``Answer:``, on the last line, or all of the message."""

from __future__ import annotations

from typing import Literal

import attrs

from server.environment import Environment, Rollout, Verdict
from server.verify.answers import extract, same_number, same_text

_TOLERANCE = 1e-9


@attrs.frozen(kw_only=True)
class StringMatchTask:
    """A row.

    Attributes:
        expected_answer: what must be answered.
        extraction_mode: where in the final message the answer stands.
        case_sensitive: whether it must be the same text, character by character.
    """

    expected_answer: str
    extraction_mode: Literal["boxed", "final_answer", "last_line", "full_response"] = "final_answer"
    case_sensitive: bool = False


class StringMatch(Environment[StringMatchTask]):
    """Reward 1.0 if the answer is the expected one, as text or as a number."""

    stateless = True

    async def verify(self, rollout: Rollout[StringMatchTask]) -> Verdict:
        """Compare the answer of the final message."""
        task = rollout.task
        answer = extract(rollout.final_text, task.extraction_mode)
        is_right = bool(answer and task.expected_answer.strip()) and (
            same_text(answer or "", task.expected_answer, case_sensitive=task.case_sensitive)
            or (not task.case_sensitive and same_number(answer or "", task.expected_answer, _TOLERANCE))
        )
        return Verdict(float(is_right), {"extracted_answer": answer})
