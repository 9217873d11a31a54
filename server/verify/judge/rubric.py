"""Rubrics: criteria with weights, each asked for by itself and all at once, and one score made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import attrs
import trio

from sandbox.bare import bare_exceptions
from server.verify.judge.ballots import cast
from server.verify.judge.equivalence import MAX_CHARACTERS, Judged
from server.verify.judge.model import JudgeModel
from server.verify.judge.prompts import Template, TemplateError

Aggregation = Literal["weighted_mean", "all", "any", "fraction"]

MET, NOT_MET = "[[MET]]", "[[NOT MET]]"

TEMPLATE = Template(
    system="You decide whether an answer meets one criterion, and look at nothing else about it.",
    text=(
        "Question:\n{question}\n\nCriterion:\n{criterion}\n\nAnswer:\n{generated_answer}\n\n"
        f"Give your reasons in a few sentences. Then end with {MET} if the answer meets the criterion, and "
        f"with {NOT_MET} if it does not. Name only the one that you choose."
    ),
    labels=(MET, NOT_MET),
)


@attrs.frozen
class Criterion:
    """Something that an answer should do, or with a negative weight should not."""

    text: str
    weight: float = 1.0


@attrs.frozen(kw_only=True)
class RubricJudge:
    """Asks a model which criteria an answer meets.

    Attributes:
        model: whom to ask.
        template: what to ask: names ``question``, ``criterion`` and ``generated_answer``; its first label
            means that the criterion is met.
        votes: how often each is asked; the majority of the well-formed answers counts.
        aggregation: ``weighted_mean``: the weights of what is met, by the sum of the positive ones, within 0
            and 1; ``fraction``: how many of the wanted ones are met; ``all`` and ``any`` of the wanted ones,
            and none of the unwanted.
        max_characters: a longer answer meets nothing, and nobody is asked.
    """

    model: JudgeModel
    template: Template = TEMPLATE
    votes: int = 1
    aggregation: Aggregation = "weighted_mean"
    max_characters: int = MAX_CHARACTERS

    async def judge(self, question: str, criteria: Sequence[Criterion], generated: str) -> Judged:
        """Judge one answer; each evaluation says for which criterion it is.

        Raises:
            JudgeFailedError: a call failed.
            TemplateError: no criterion has a weight above 0.
        """
        wanted = [criterion for criterion in criteria if criterion.weight > 0]
        if not wanted:
            msg = "a rubric needs a criterion with a weight above 0"
            raise TemplateError(msg)
        if not generated.strip() or len(generated) > self.max_characters:
            return Judged(0.0, [])
        met = [False] * len(criteria)
        evaluations: list[list[dict[str, Any]]] = [[] for _ in criteria]

        async def ask(number: int, criterion: Criterion) -> None:
            values = {"question": question, "criterion": criterion.text, "generated_answer": generated}
            ballot = await cast(self.model, self.template, values, votes=self.votes)
            met[number] = ballot.label == self.template.labels[0]
            evaluations[number] = [{"criterion": criterion.text, **each} for each in ballot.evaluations]

        with bare_exceptions():
            async with trio.open_nursery() as nursery:
                for number, criterion in enumerate(criteria):
                    nursery.start_soon(ask, number, criterion)
        return Judged(self._score(criteria, met), [each for group in evaluations for each in group])

    def _score(self, criteria: Sequence[Criterion], met: Sequence[bool]) -> float:
        pairs = list(zip(criteria, met, strict=True))
        wanted = [is_met for criterion, is_met in pairs if criterion.weight > 0]
        is_spoilt = any(is_met for criterion, is_met in pairs if criterion.weight < 0)
        if self.aggregation == "all":
            return float(all(wanted) and not is_spoilt)
        if self.aggregation == "any":
            return float(any(wanted) and not is_spoilt)
        if self.aggregation == "fraction":
            return sum(wanted) / len(wanted)
        total = math.fsum(criterion.weight for criterion, _ in pairs if criterion.weight > 0)
        got = math.fsum(criterion.weight for criterion, is_met in pairs if is_met)
        return min(1.0, max(0.0, got / total))
