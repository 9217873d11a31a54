"""What goes into a report and what does not. That it is NeMo Gym's is tested in `tests/whole/gym`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pytest
from scipy import stats  # type: ignore[import-untyped]  # its stubs are another distribution

from server.aggregation import passes
from server.aggregation.columns import describe, numbers_of, percentile
from server.aggregation.report import aggregate
from server.aggregation.student import quantile
from server.environment import Environment
from server.environments import load_shipped
from server.errors import InvalidBody


class Plain(Environment[dict[str, Any]]):
    """Adds nothing."""


def reply(task: int = 0, repeat: int = 0, **fields: Any) -> dict[str, Any]:
    return {"_ng_task_index": task, "_ng_rollout_index": repeat, "reward": 1.0, **fields}


def report(*replies: Mapping[str, Any], environment: Environment[Any] | None = None) -> dict[str, Any]:
    return aggregate(environment or Plain(), {"verify_responses": list(replies)})


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({}, ["body", "verify_responses"]),
        ({"verify_responses": {}}, ["body", "verify_responses"]),
        ({"verify_responses": [1]}, ["body", "verify_responses", 0]),
        ({"verify_responses": [{"_ng_task_index": "0"}]}, ["body", "verify_responses", 0, "_ng_task_index"]),
        ({"verify_responses": [reply(), reply()]}, ["body", "verify_responses", 1]),
    ],
)
def test_what_is_no_run_is_refused_by_name(body: dict[str, Any], loc: list[Any]) -> None:
    with pytest.raises(InvalidBody) as caught:
        aggregate(Plain(), body)
    assert loc == caught.value.details[0]["loc"]


EXTREME = (1e200, -1.7e308, 10**308, 10**400, math.inf, -math.inf, None, "x", [1], {"a": 1}, True)


@pytest.mark.parametrize("name", ["workbench", "code_gen"])
@pytest.mark.parametrize("field", ["reward", "x", "difficulty", "extracted_model_code", "usage", "ng_perf"])
def test_no_value_that_a_model_chose_spoils_a_report(name: str, field: str) -> None:
    for value in EXTREME:
        others = {"difficulty": "easy", "extracted_model_code": "c"}
        given: Any = value
        if field == "ng_perf":
            given = dict.fromkeys(
                ("prompt_tokens", "completion_tokens", "num_turns", "total_latency_ms"), value
            )
        fields = {"response": {"usage": {"x": value}}} if field == "usage" else {field: given}
        replies = [reply(0, 0), reply(0, 1, **{**others, **fields}), reply(1, 0), reply(1, 1, **fields)]
        made = report(*replies, environment=load_shipped(name)())
        json.dumps(made, allow_nan=False)
        assert field == "reward" or made["agent_metrics"]["mean/reward"] == 1.0


def test_a_reply_without_a_reward_scores_nothing() -> None:
    without = {"_ng_task_index": 0, "_ng_rollout_index": 0}
    metrics = report(without, reply(1), environment=load_shipped("code_gen")())["agent_metrics"]
    assert 50.0 == metrics["pass@1/accuracy"]


def test_masked_rollouts_count_in_the_coverage_only() -> None:
    metrics = report(reply(0, 0, reward=1.0), reply(1, 0, reward=0.0, mask_sample=True))["agent_metrics"]
    assert (1.0, 1, 1) == (
        metrics["mean/reward"],
        metrics["coverage/masked_rollouts"],
        metrics["coverage/fully_masked_tasks"],
    )
    assert "mean/mask_sample" not in metrics


def test_a_run_of_masked_rollouts_has_no_rewards() -> None:
    made = report(reply(mask_sample=True))
    assert made["agent_metrics"] == made["key_metrics"]
    assert "mean/reward" not in made["agent_metrics"]
    assert [] == made["group_level_metrics"]


def test_what_json_has_no_number_for_is_null() -> None:
    metrics = report(reply(x=math.inf), reply(1, x=1.0, y=math.nan), reply(2, huge=10**400))["agent_metrics"]
    assert (None, None) == (metrics["mean/x"], metrics["max/x"])
    assert {"mean/y", "mean/huge"}.isdisjoint(metrics)


def test_an_environments_own_metrics_of_a_task_join_the_tasks() -> None:
    class Own(Plain):
        """Says something of each task."""

        def compute_metrics(self, tasks: passes.Tasks) -> Mapping[str, Any]:
            return {"per_task_metrics": [{"_ng_task_index": 1, "hard": True}], "tasks": len(tasks)}

    made = report(reply(0), reply(1), environment=Own())
    assert [None, True] == [group.get("hard") for group in made["group_level_metrics"]]
    assert (2, None) == (made["agent_metrics"]["tasks"], made["agent_metrics"].get("per_task_metrics"))


def test_gaps_are_no_zeros() -> None:
    assert {"mean/x": 2.0, "max/x": 2, "min/x": 2, "median/x": 2} == describe([{"x": 2}, {}])
    assert 0.0 == describe([{"x": 2}])["std/x"]
    assert {"a": 1, "b": 1.5} == numbers_of(
        {"a": True, "b": 1.5, "c": None, "d": "1", "_e": 1, "f": math.nan}
    )


def test_percentiles_lie_between_their_neighbours() -> None:
    assert [1, 1.75, 4] == [percentile([4, 1, 2, 3], percent) for percent in (0, 25, 100)]


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 30, 99, 1000, 100_000])
def test_quantiles_are_scipys(freedom: int) -> None:
    for probability in (0.6, 0.975, 0.9995):
        assert math.isclose(stats.t.ppf(probability, freedom), quantile(probability, freedom), rel_tol=1e-9)


def test_passes_of_scores_in_between_are_the_best_of_the_first() -> None:
    tasks = [[{"reward": 0.2}, {"reward": 0.6}, {"reward": 0.4}]]
    metrics = passes.pass_metrics(tasks)
    assert (20.0, 60.0) == (metrics["pass@1/accuracy"], metrics["pass@2/accuracy"])


def test_the_majority_decides_and_ties_share() -> None:
    tasks: list[list[dict[str, Any]]]
    tasks = [[{"reward": 1.0, "a": "x"}, {"reward": 0.0, "a": "y"}, {"reward": 0.0, "a": None}]]
    metrics = passes.pass_metrics(tasks, answer_key="a")
    assert (100.0, 50.0) == (metrics["majority@1/accuracy"], metrics["majority@3/accuracy"])


def test_no_tasks_have_no_metrics() -> None:
    assert {} == passes.pass_metrics([])
    assert {} == passes.highest_k({}, "pass@{k}")
