"""Repeats: every rollout with the same index, over all tasks, and how much they differ from one another."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from server.aggregation.columns import Row, columns_of, confidence_interval, deviation, mean, percentile

REPEAT = "_ng_rollout_index"

_COUNTED = ("sample_count", "missing_count", "num_repeats", "token_usage_version")
_STATED_BY = (
    "max/",
    "min/",
    "median/",
    "std/",
    "sem/",
    "se/",
    "p25/",
    "p75/",
    "ci_low_95/",
    "ci_high_95/",
    "histogram/",
)
_STATED_AS = (
    "/max", "/min", "/median", "/p5", "/p25", "/p75", "/p95", "/ci_low_95", "/ci_high_95", "/ci_lower",
    "/ci_upper",
    "_ci_lower", "_ci_upper", "_ci95_lower", "_ci95_upper", "/_ng_attempt_index",
    "/std_dev_across_runs", "/std_err_across_runs", "/avg_sample_std_dev",
)  # fmt: skip
_ACROSS = "_across_repeats/"


def repeats(rows: Sequence[tuple[int, int, Row]]) -> list[dict[str, Any]]:
    """Return the statistics of each repeat; nothing when there is only one.

    Args:
        rows: of each rollout its task, its index and its numbers.
    """
    by_index: dict[int, list[tuple[int, Row]]] = defaultdict(list)
    for task, index, row in rows:
        by_index[index].append((task, row))
    if len(by_index) < 2:  # noqa: PLR2004  # one has nothing to be compared with
        return []
    tasks = len({task for task, _, _ in rows})
    found: list[dict[str, Any]] = []
    for index, members in sorted(by_index.items()):
        present = len({task for task, _ in members})
        entry: dict[str, Any] = {
            REPEAT: index,
            "sample_count": present,
            "missing_count": tasks - present,
        }
        for name, values in columns_of(row for _, row in members).items():
            for statistic, value in _statistics(values, "sem").items():
                entry[f"{statistic}/{name}"] = value
            entry[f"p25/{name}"] = percentile(values, 25)
            entry[f"p75/{name}"] = percentile(values, 75)
        found.append(entry)
    return found


def across(entries: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return how the repeats' estimates spread: each of them is one observation."""
    estimates = [
        {
            name: value
            for name, value in entry.items()
            if _is_estimate(name) and isinstance(value, int | float)
        }
        for entry in entries
    ]
    return {
        f"{statistic}{_ACROSS}{name}": value
        for name, values in columns_of(estimates).items()
        for statistic, value in _statistics(values, "se").items()
    }


def is_across(name: str, names: set[str]) -> bool:
    """Whether a metric says how one of `names` spreads over the repeats."""
    _, marker, of = name.partition(_ACROSS)
    return bool(marker) and of in names


def _statistics(values: Sequence[float], error_name: str) -> dict[str, float]:
    center, spread = mean(values), deviation(values)
    error = spread / math.sqrt(len(values))
    found = {
        "mean": center,
        "median": float(statistics.median(values)),
        "std": spread,
        error_name: error,
        "min": float(min(values)),
        "max": float(max(values)),
    }
    interval = confidence_interval(center, error, len(values))
    if interval is not None:
        found["ci_low_95"], found["ci_high_95"] = interval
    return found


def _is_estimate(name: str) -> bool:
    """Whether a metric is an estimate by itself, and not a statistic or an uncertainty of another one."""
    return not (
        name.startswith(("_ng_", *_STATED_BY))
        or name.endswith(_STATED_AS)
        or name in _COUNTED
        or _ACROSS in name
    )
