"""Rubrics: what is met, what it weighs, and what must not be there."""

from __future__ import annotations

from typing import Any

import pytest

from server.verify.judge.prompts import TemplateError
from server.verify.judge.rubric import MET, NOT_MET, Aggregation, Criterion, RubricJudge
from server.verify.verdicts import JudgeFailedError
from tests.server.verify.judge.endpoint import Endpoint, Wire, judge_at, open_endpoint, says, status

RUBRIC = [Criterion("is kind", 3.0), Criterion("is short"), Criterion("swears", -2.0)]


async def only_kind(endpoint: Endpoint, wire: Wire, body: dict[str, Any]) -> None:
    await says(MET if "is kind" in endpoint.prompt() else NOT_MET)(endpoint, wire, body)


async def only_swears(endpoint: Endpoint, wire: Wire, body: dict[str, Any]) -> None:
    await says(MET if "swears" in endpoint.prompt() else NOT_MET)(endpoint, wire, body)


@pytest.mark.parametrize(
    ("step", "aggregation", "expected"),
    [
        (only_kind, "weighted_mean", 0.75),
        (only_kind, "fraction", 0.5),
        (only_kind, "all", 0.0),
        (only_kind, "any", 1.0),
        (says(MET), "weighted_mean", 0.5),
        (says(MET), "all", 0.0),
        (says(MET), "any", 0.0),
        (says(NOT_MET), "weighted_mean", 0.0),
        (only_swears, "weighted_mean", 0.0),
        (says("?"), "fraction", 0.0),
        (says(f"{MET} {NOT_MET}"), "any", 0.0),
    ],
)
async def test_what_is_met_is_weighed(step: Any, aggregation: Aggregation, expected: float) -> None:
    async with open_endpoint(step) as endpoint:
        judge = RubricJudge(model=judge_at(endpoint), aggregation=aggregation)
        judged = await judge.judge("?", RUBRIC, "You did well.")
        assert expected == judged.reward
        assert ["is kind", "is short", "swears"] == [each["criterion"] for each in judged.evaluations]


async def test_nothing_meets_nothing_and_a_failed_call_is_no_score() -> None:
    async with open_endpoint(says(MET)) as endpoint:
        assert 0.0 == (await RubricJudge(model=judge_at(endpoint)).judge("?", RUBRIC, " ")).reward
        with pytest.raises(TemplateError):
            await RubricJudge(model=judge_at(endpoint)).judge("?", [Criterion("x", -1.0)], "y")
        assert [] == endpoint.asked
    async with open_endpoint(says(MET), status(401), says(MET)) as endpoint:
        with pytest.raises(JudgeFailedError):
            await RubricJudge(model=judge_at(endpoint)).judge("?", RUBRIC, "y")
