"""Runs in NeMo Gym's own environment: reads runs from stdin, writes NeMo Gym's reports of them to stdout."""

import json
import sys
import warnings
from typing import Any

from nemo_gym import reward_profile  # pyright: ignore[reportMissingImports]  # not in this environment

warnings.simplefilter("ignore")


def passes(tasks: list[list[dict[str, Any]]]) -> dict[str, Any]:
    metrics, scores, names, most = reward_profile.compute_pass_majority_metrics(tasks, answer_key="answer")
    reward_profile.add_avg_sample_std_dev(metrics, scores, names, most)
    metrics |= reward_profile.compute_subset_metrics(tasks, "level", answer_key="answer")
    return dict(metrics)


def repeat(tasks: list[list[dict[str, Any]]]) -> dict[str, Any]:
    rewards = [reply["reward"] for replies in tasks for reply in replies]
    return {"mean/reward": 2 * sum(rewards), "worst": min(rewards)}


def headlines(metrics: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = reward_profile.highest_k_metrics(metrics, "pass@{k}", exclude_names=["no_answer"])
    found |= reward_profile.highest_k_metrics(metrics, "pass@1[avg-of-{k}]", score_names=["accuracy"])
    return found


reports = []
for run in json.load(sys.stdin):
    plain = reward_profile.compute_aggregate_metrics(run)
    own = reward_profile.compute_aggregate_metrics(run, passes, headlines, repeat)
    reports.append([plain.model_dump(mode="json"), own.model_dump(mode="json")])
json.dump(reports, sys.stdout)
