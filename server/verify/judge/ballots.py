"""One question to a judge, as often as it takes: votes, and the label that they agree on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import attrs
import trio

from sandbox.bare import bare_exceptions
from server.verify.judge.labels import read_label
from server.verify.judge.model import JudgeModel, QuestionRefusedError
from server.verify.judge.prompts import Template

_HARMLESS = "I do not know."


@attrs.frozen
class Ballot:
    """What came of one question.

    Attributes:
        label: the one that more than half of the well-formed votes gave, or None.
        evaluations: every request and response, with its label, as a verify reply echoes them.
    """

    label: str | None
    evaluations: list[dict[str, Any]] = attrs.field(repr=False)


async def cast(
    model: JudgeModel,
    template: Template,
    values: Mapping[str, str],
    *,
    votes: int = 1,
    hostile: frozenset[str] | None = None,
) -> Ballot:
    """Ask a question `votes` times at once.

    Votes that cannot be read are left out; if none can be, or no label has a majority of the others, there is
    no label. Nor is there one when the endpoint refuses a question for the candidate's text in it, and takes
    the same one with another text: else a candidate could choose not to be judged.

    Raises:
        JudgeFailedError: a call failed.
        TemplateError: the template and the values do not fit.
    """
    messages = template.messages(values, hostile)
    evaluations: list[dict[str, Any]] = [{} for _ in range(votes)]

    async def vote(number: int) -> None:
        answer = await model.ask(messages)
        evaluations[number] = {
            "responses_create_params": dict(answer.request),
            "response": dict(answer.response),
            "verdict_label": read_label(answer.text, template.labels),
        }

    try:
        with bare_exceptions():
            async with trio.open_nursery() as nursery:
                for number in range(votes):
                    nursery.start_soon(vote, number)
    except QuestionRefusedError as refused:
        names = template.hostile if hostile is None else hostile
        await model.ask(template.messages({**values, **dict.fromkeys(names, _HARMLESS)}, hostile))
        refusal = {"responses_create_params": {"input": messages}, "response": {"error": str(refused)}}
        return Ballot(None, [{**refusal, "verdict_label": None}])
    labels = [evaluation["verdict_label"] for evaluation in evaluations if evaluation["verdict_label"]]
    label, count = Counter(labels).most_common(1)[0] if labels else (None, 0)
    return Ballot(label if 2 * count > len(labels) else None, evaluations)
