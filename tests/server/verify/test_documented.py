"""The examples in the documentation: they run, and what they say of themselves holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sandbox.final_state import FinalState
from sandbox.observation import CallRecord, Observation, Outcome
from server.environment import Environment, Rollout
from tests.server.environments.conftest import message
from tests.server.verify.conftest import Opener

PAGE = Path(__file__).parents[3] / "docs" / "verification.md"


@pytest.fixture(name="examples", scope="module")
def _examples() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)  # as one module, in order
    return names


def test_every_pattern_has_an_example_that_runs(examples: dict[str, Any]) -> None:
    environments = [
        each for each in examples.values() if isinstance(each, type) and issubclass(each, Environment)
    ]
    assert len(environments) > 5
    for section in re.findall(
        r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    ):
        assert "```python" in section[1] or section[0] == "Three fixtures for every verifier", section[0]


async def test_the_examples_judge_as_they_say(examples: dict[str, Any], opener: Opener) -> None:
    rollout: Any = opener
    assert await examples["is_right"](rollout, "def double(x): return 2 * x")
    assert not await examples["is_right"](rollout, "def double(x): return None")
    assert await examples["has_passed"](rollout, "def make_class(name): return type(name, (), {})")
    assert not await examples["has_passed"](rollout, "def make_class(name): raise SystemExit")


async def test_several_rewards_are_put_together(examples: dict[str, Any]) -> None:
    done = Observation(outcome=Outcome.OK)
    calls = (CallRecord("search", {"query": "flights"}, done), CallRecord("book", {"seat": 1}, done))
    for text, state, reward in (
        (r"\boxed{42.0}", FinalState(calls=calls), 1.0),
        (r"\boxed{42}", FinalState(), 0.0),
        ("42", FinalState(calls=calls), 0.0),
    ):
        rollout: Any = Rollout(
            task={},
            response=message(text),
            final_state=state,
            launcher=None,  # type: ignore[arg-type]  # nothing is run
            verifier=None,  # type: ignore[arg-type]  # as above
        )
        verdict = await examples["judge_all"](rollout)
        assert reward == verdict.reward
        assert {"correct", "steps"} == verdict.fields["reward_components"].keys()
