r"""The environments that judge a message: `string_match`, `mcqa`, `equivalence_llm_judge`."""

from __future__ import annotations

from typing import Any

import pytest

from server.environments.equivalence_llm_judge import EquivalenceLlmJudge
from server.environments.mcqa import Mcqa
from server.environments.string_match import StringMatch
from server.verify.judge.equivalence import DIFFERENT, EQUAL
from server.verify.verdicts import JudgeFailedError, UnusableTestError
from tests.server.environments.conftest import Player
from tests.server.verify.judge.endpoint import judge_at, open_endpoint, says, status

CAPITAL = {
    "responses_create_params": {"input": [{"role": "user", "content": "What is the capital of France?"}]},
    "expected_answer": "Paris",
}


@pytest.mark.parametrize(
    ("wishes", "text", "reward"),
    [
        ({"extraction_mode": "boxed"}, r"It is \boxed{\text{paris}}.", 1.0),
        ({"extraction_mode": "boxed"}, r"\boxed{Paris} or rather \boxed{Rome}", 0.0),
        ({"extraction_mode": "boxed"}, "Paris", 0.0),
        ({}, "Final answer: Paris.", 1.0),
        ({}, "Answer: Paris, Rome, Berlin", 0.0),
        ({"extraction_mode": "last_line"}, "Rome?\nParis", 1.0),
        ({"extraction_mode": "full_response"}, "Paris", 1.0),
        ({"extraction_mode": "full_response"}, "I think it is Paris", 0.0),
        ({"case_sensitive": True, "extraction_mode": "full_response"}, "paris", 0.0),
        ({"expected_answer": "80", "extraction_mode": "boxed"}, r"\boxed{80.0}", 1.0),
        ({"expected_answer": ""}, "Answer: x", 0.0),
        ({}, "", 0.0),
    ],
)
async def test_a_string_is_matched(player: Player, wishes: Any, text: str, reward: float) -> None:
    assert reward == (await player.play(StringMatch(), {**CAPITAL, **wishes}, text=text)).verdict.reward


CHOICE = {
    "options": [{"A": "Karyotyping"}, {"B": "PCR"}, {"C": None}],
    "expected_answer": "B",
    "uuid": "x",
}


@pytest.mark.parametrize(
    ("wishes", "text", "reward"),
    [
        ({}, r"\boxed{B}", 1.0),
        ({}, r"\boxed{A}", 0.0),
        ({}, r"\boxed{A, B, C}", 0.0),
        ({}, "B", 0.0),
        ({"grading_mode": "lenient_boxed"}, r"\boxed{pcr}", 1.0),
        ({"grading_mode": "lenient_answer_colon"}, "Answer: B", 1.0),
        ({"template_metadata": {"output_regex": r"pick (\w)"}}, "pick A, pick b", 1.0),
        ({"template_metadata": {"output_regex": [r"choose (\w)", r"pick (\w)"]}}, "pick B", 1.0),
        ({"template_metadata": {"output_regex": r"(x+x+)+y"}}, "x" * 60, 0.0),
        ({"expected_answer": None}, r"\boxed{B}", 0.0),
        ({"expected_answer": ""}, "", 0.0),
    ],
)
async def test_a_letter_is_chosen(player: Player, wishes: Any, text: str, reward: float) -> None:
    assert reward == (await player.play(Mcqa(), {**CHOICE, **wishes}, text=text)).verdict.reward


async def test_a_pattern_that_is_none_is_no_verdict(player: Player) -> None:
    row = {**CHOICE, "template_metadata": {"output_regex": "("}}
    with pytest.raises(UnusableTestError, match="pattern"):
        await player.play(Mcqa(), row, text="B")


@pytest.mark.parametrize(
    ("answers", "text", "reward", "asked"),
    [
        ([EQUAL], "It is the city of Paris.", 1.0, 2),
        ([EQUAL, DIFFERENT], "It is the city of Paris.", 0.0, 2),
        ([DIFFERENT], "Rome", 0.0, 1),
        (["hm"], "Rome", 0.0, 1),
        ([f"{EQUAL} {DIFFERENT}"], "Rome", 0.0, 1),
        ([DIFFERENT], "paris", 1.0, 0),
        ([EQUAL], "", 0.0, 0),
    ],
)
async def test_a_judge_decides_what_texts_do_not(
    player: Player, answers: list[str], text: str, reward: float, asked: int
) -> None:
    async with open_endpoint(says(*answers)) as endpoint:
        played = await player.play(EquivalenceLlmJudge(), CAPITAL, text=text, judge_model=judge_at(endpoint))
        assert reward == played.verdict.reward
        assert asked == len(endpoint.asked) == len(played.verdict.fields["judge_evaluations"])
        if asked:
            assert "capital of France" in endpoint.prompt(0)


async def test_a_rows_pattern_takes_the_answer_out_and_the_rest_is_a_second_chance(player: Player) -> None:
    row = {**CAPITAL, "template_metadata": {"output_regex": r"Answer: (.*)$"}}
    async with open_endpoint(says(DIFFERENT, EQUAL)) as endpoint:
        text = "The capital is Paris.\nAnswer: Rome"
        played = await player.play(EquivalenceLlmJudge(), row, text=text, judge_model=judge_at(endpoint))
        assert 0.5 == played.verdict.reward
        assert "Paris.\nAnswer: Rome" in endpoint.prompt(1)
        assert "\nRome\nEND DATA" in endpoint.prompt(0)


async def test_no_judge_and_a_failing_one_are_our_failure(player: Player) -> None:
    with pytest.raises(JudgeFailedError, match="judge_url"):
        await player.play(EquivalenceLlmJudge(), CAPITAL, text="Rome")
    async with open_endpoint(status(500)) as endpoint:
        model = judge_at(endpoint, tries=2)
        with pytest.raises(JudgeFailedError, match="500"):
            await player.play(EquivalenceLlmJudge(), CAPITAL, text="Rome", judge_model=model)
