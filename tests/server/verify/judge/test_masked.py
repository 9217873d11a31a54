"""The judge behind a server's settings: verdicts, and rollouts masked because it could not be asked."""

from __future__ import annotations

from typing import Any

from server.environments.equivalence_llm_judge import EquivalenceLlmJudge
from server.verify.judge.equivalence import EQUAL
from tests.server.verify.judge.endpoint import Endpoint, open_endpoint, says, status
from tests.server.worlds import Player, open_game

ROW = {"expected_answer": "Paris", "responses_create_params": {"input": []}}


async def verdict(**settings: Any) -> dict[str, Any]:
    async with open_game(EquivalenceLlmJudge(), **settings) as sessions:
        player = Player(sessions)
        await player.seed(ROW)
        return await player.verify(ROW, "the city of light")


def at(endpoint: Endpoint) -> dict[str, str]:
    return {"judge_url": endpoint.url, "judge_model": "judge", "judge_key": "a-secret-key"}


async def test_the_settings_name_the_judge() -> None:
    async with open_endpoint(says(EQUAL)) as endpoint:
        fields = await verdict(**at(endpoint))
        assert 1.0 == fields["reward"]
        assert ["Bearer a-secret-key"] * 2 == endpoint.keys
        assert "a-secret-key" not in str(fields)


async def test_a_judge_that_cannot_be_asked_masks_the_rollout() -> None:
    async with open_endpoint(status(403)) as endpoint:
        fields = await verdict(**at(endpoint))
    assert (0.0, True, "judge_failed") == (fields["reward"], fields["mask_sample"], fields["failure_kind"])
    assert "status 403" in fields["failure_reason"]
    fields = await verdict()
    assert "judge_failed" == fields["_ng_failure_class"]
    assert "judge_url" in fields["failure_reason"]


async def test_a_judge_that_says_nothing_is_a_score() -> None:
    async with open_endpoint(says("I would rather not say")) as endpoint:
        fields = await verdict(**at(endpoint))
        assert 0.0 == fields["reward"]
        assert "mask_sample" not in fields
