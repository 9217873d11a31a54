"""Is a generated answer equivalent to the expected one? In one order, or in both.

With `swap` the two answers change places for a second question, and only a judge that finds them equal both
ways has: one that always prefers the first, or that the candidate talked into something, is caught by it.
"""

from __future__ import annotations

from typing import Any

import attrs

from server.verify.judge.ballots import cast
from server.verify.judge.model import JudgeModel
from server.verify.judge.prompts import Template

EQUAL, DIFFERENT = "[[A=B]]", "[[A!=B]]"
MAX_CHARACTERS = 32_000

TEMPLATE = Template(
    system=(
        "You decide whether two answers to one question mean the same. Wording, notation and length do not "
        "matter; what is said does. An answer that is empty, evades the question, or gives several different "
        "answers is equivalent to none."
    ),
    text=(
        "Question:\n{question}\n\nAnswer A:\n{expected_answer}\n\nAnswer B:\n{generated_answer}\n\n"
        f"Give your reasons in a few sentences. Then end with {EQUAL} if the answers are equivalent, and "
        f"with {DIFFERENT} if they are not. Name only the one that you choose."
    ),
    labels=(EQUAL, DIFFERENT),
)


@attrs.frozen
class Judged:
    """What came of it: the reward, and all that was asked and answered."""

    reward: float
    evaluations: list[dict[str, Any]] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class EquivalenceJudge:
    """Asks a model whether answers are equivalent.

    Attributes:
        model: whom to ask.
        template: what to ask: names ``question``, ``expected_answer`` and ``generated_answer``; its first
            label means equal.
        votes: how often each question is asked; the majority of the well-formed answers counts.
        swap: whether a second question in the other order must agree.
        reward_if_swap_fails: the reward when it does not.
        reward_if_rescued: the reward when the extracted answer is not equivalent and the whole message is.
        max_characters: a longer answer is none, and nobody is asked.
    """

    model: JudgeModel
    template: Template = TEMPLATE
    votes: int = 1
    swap: bool = True
    reward_if_swap_fails: float = 0.0
    reward_if_rescued: float = 0.5
    max_characters: int = MAX_CHARACTERS

    async def judge(
        self, question: str, expected: str, generated: str | None, whole: str | None = None
    ) -> Judged:
        """Judge one answer.

        Args:
            question: the task's.
            expected: the right answer.
            generated: the candidate's; None or blank earns nothing.
            whole: the message that `generated` was taken out of, for a second chance; None for none.

        Raises:
            JudgeFailedError: a call failed.
        """
        is_equal, evaluations = await self._are_equal(question, expected, generated)
        if is_equal:
            if not self.swap:
                return Judged(1.0, evaluations)
            is_still, more = await self._are_equal(question, expected, generated, is_swapped=True)
            return Judged(1.0 if is_still else self.reward_if_swap_fails, evaluations + more)
        if whole is None or whole == generated:
            return Judged(0.0, evaluations)
        is_equal, more = await self._are_equal(question, expected, whole)
        return Judged(self.reward_if_rescued if is_equal else 0.0, evaluations + more)

    async def _are_equal(
        self, question: str, expected: str, generated: str | None, *, is_swapped: bool = False
    ) -> tuple[bool, list[dict[str, Any]]]:
        if not generated or not generated.strip() or len(generated) > self.max_characters:
            return False, []
        first, second = (generated, expected) if is_swapped else (expected, generated)
        values = {"question": question, "expected_answer": first, "generated_answer": second}
        hostile = frozenset({"expected_answer"}) if is_swapped else None
        ballot = await cast(self.model, self.template, values, votes=self.votes, hostile=hostile)
        return ballot.label == self.template.labels[0], ballot.evaluations
