"""The reports of runs, held against NeMo Gym's own for the same runs."""

from __future__ import annotations

import json
import math
import random
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from server.aggregation import passes
from server.aggregation.report import aggregate
from server.environment import Environment
from tests.whole.gym.home import Home, needs_nemo_gym, script

pytestmark = needs_nemo_gym

RUNS = 6
"""NeMo Gym takes some tenths of a second over each."""


class Plain(Environment[dict[str, Any]]):
    """Adds nothing."""


class Own(Environment[dict[str, Any]]):
    """Adds what `reporting` has NeMo Gym add."""

    def compute_metrics(self, tasks: passes.Tasks) -> Mapping[str, Any]:
        subsets = passes.subset_metrics(tasks, "level", answer_key="answer")
        return passes.pass_metrics(tasks, answer_key="answer", deviations=True) | subsets

    def compute_repeat_metrics(self, tasks: passes.Tasks) -> Mapping[str, float]:
        rewards = [reply["reward"] for replies in tasks for reply in replies]
        return {"mean/reward": 2 * sum(rewards), "worst": min(rewards)}

    def get_key_metrics(self, agent_metrics: Mapping[str, Any]) -> Mapping[str, Any]:
        found = passes.highest_k(agent_metrics, "pass@{k}", without=["no_answer"])
        return found | passes.highest_k(agent_metrics, "pass@1[avg-of-{k}]", ["accuracy"])


def run_of(luck: random.Random) -> list[dict[str, Any]]:
    """Return the verify replies of a run: some rollouts missing or masked, some fields here and there."""
    graded = luck.random() < 0.3
    replies: list[dict[str, Any]] = []
    for task in luck.sample(range(50), luck.randint(1, 6)):
        level = luck.choice([None, "easy", "hard"])
        for repeat in range(luck.choice([1, 1, 2, 3, 5])):
            reply: dict[str, Any] = {
                "_ng_task_index": task,
                "_ng_rollout_index": repeat,
                "reward": luck.random() if graded else float(luck.randint(0, 1)),
                "answer": luck.choice([None, "a", "b", "c"]),
                "level": level,
                "nested": {"x": 1},
                "_private": 7,
            }
            now_and_then: dict[str, Any] = {
                "passed": luck.choice([True, False]),
                "seconds": luck.expovariate(1),
                "accuracy/max": luck.randint(0, 9),
                "mask_sample": luck.random() < 0.2,
                "ng_perf": performance(luck),
            }
            reply |= {key: value for key, value in now_and_then.items() if luck.random() < 0.7}
            if luck.random() < 0.9:
                tokens = luck.randint(1, 900)
                usage = {"input_tokens": tokens, "seconds": 2.5, "details": {"cached_tokens": 1}}
                reply["response"] = {"usage": luck.choice([usage, usage, None])}
            replies.append(reply)
    luck.shuffle(replies)
    return replies


def performance(luck: random.Random) -> dict[str, Any]:
    fields = ("prompt_tokens", "completion_tokens", "num_turns", "total_latency_ms")
    found: dict[str, Any] = {field: luck.randint(0, 99) for field in fields if luck.random() < 0.8}
    return found | {"token_observability_coverage": luck.choice([0, 0.5, 1])}


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Yield where two JSON values differ by more than the last digits of a number."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in ours.keys() | theirs.keys():
            yield from differences(ours.get(key, "absent"), theirs.get(key, "absent"), f"{path} > {key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(one, other, f"{path}[{number}]")
    elif isinstance(ours, int | float) and isinstance(theirs, int | float):
        if not math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-12):
            yield f"{path}: {ours} is not {theirs}"
    elif ours != theirs:
        yield f"{path}: {ours!r} is not {theirs!r}"


def test_reports_have_the_same_keys_and_numbers_as_nemo_gyms(gym: Home) -> None:
    luck = random.Random(5)
    runs: Sequence[list[dict[str, Any]]] = [[], *(run_of(luck) for _ in range(RUNS))]
    done = subprocess.run(
        [gym.python, script("reporting.py")],
        input=json.dumps(runs),
        capture_output=True,
        text=True,
        check=True,
        timeout=170,
    )
    for run, theirs in zip(runs, json.loads(done.stdout), strict=True):
        ours = [aggregate(environment, {"verify_responses": run}) for environment in (Plain(), Own())]
        assert [] == list(differences(ours, theirs)), json.dumps(run)
