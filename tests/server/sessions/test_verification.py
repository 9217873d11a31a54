"""Verdicts: what an environment returns or raises, turned into the fields of a reply."""

from __future__ import annotations

from typing import Any, cast

import pytest
import trio

from sandbox.errors import Exhausted
from sandbox.final_state import FinalState
from server.environment import Environment, Rollout, Verdict
from server.sessions.verification import Judge


class Saying(Environment[dict[str, Any]]):
    """Says what the task tells it to."""

    async def verify(self, rollout: Rollout[dict[str, Any]]) -> Verdict:
        saying: Any = rollout.task["say"]
        if isinstance(saying, Exception):
            raise saying
        if saying == "nothing":
            await trio.sleep_forever()
        return cast("Verdict", saying(rollout) if callable(saying) else saying)


async def judge(saying: Any, final_state: FinalState | None = None) -> dict[str, Any]:
    launcher: Any = None
    judge = Judge(Saying(), launcher, seconds=5)
    return await judge.judge("id", {"say": saying}, {"output": []}, final_state or FinalState())


async def test_a_verdict_is_its_fields_and_its_reward() -> None:
    assert {"reward": 0.5, "accuracy": True} == await judge(Verdict(0.5, {"accuracy": True, "reward": 7}))


async def test_a_reward_may_be_said_as_a_bool_or_an_int() -> None:
    fields = await judge(Verdict(True))
    assert 1.0 == fields["reward"]
    assert type(fields["reward"]) is float


@pytest.mark.parametrize(
    "saying",
    [
        None,
        1.0,
        Verdict(float("nan")),
        Verdict(float("inf")),
        Verdict(1.0, {"field": object()}),
        Verdict(1.0, {"field": float("nan")}),
        LookupError("secret"),
        ExceptionGroup("several", [LookupError("secret"), ValueError("secret")]),
    ],
)
async def test_a_verifier_that_fails_masks_the_rollout(saying: Any) -> None:
    fields = await judge(saying)
    assert (0.0, True, "verifier_error") == (fields["reward"], fields["mask_sample"], fields["failure_kind"])
    assert "secret" not in str(fields)


async def test_a_verifier_whose_sandbox_fails_is_told_apart() -> None:
    for error in (Exhausted("no more"), ExceptionGroup("one", [Exhausted("no more")])):
        assert "provider_unavailable" == (await judge(error))["failure_kind"]


async def test_a_verifier_has_only_so_long(autojump_clock: trio.testing.MockClock) -> None:
    fields = await judge("nothing")
    assert ("verifier_error", "the verifier took longer than 5 s") == (
        fields["failure_kind"],
        fields["failure_reason"],
    )
