"""Columns of numbers, with gaps, and what is said of one: the statistics of NeMo Gym's reports.

A number that is missing or not a number is a gap. The definitions are those of the data frames that NeMo Gym
uses: the sample's standard deviation, the mean of the middle two for a median, linear interpolation for
percentiles.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from server.aggregation.student import quantile

CONFIDENCE = 0.95

_LARGEST_WHOLE = 2**63
"""Larger integers are counted as floats, whose sums may overflow to infinity."""

Row = Mapping[str, float]
"""The numbers of one rollout, by name."""


def number(value: Any) -> float | None:
    """Return `value` if it is a number, a truth value as 1 or 0; None for a gap."""
    if isinstance(value, bool):
        return int(value)
    if not isinstance(value, int | float):
        return None
    try:
        return None if math.isnan(value) else value if abs(value) < _LARGEST_WHOLE else float(value)
    except OverflowError:  # an integer beyond all floats
        return None


def numbers_of(values: Mapping[str, Any]) -> dict[str, float]:
    """Return those of `values` that are numbers; gaps and private keys are left out."""
    found = {key: number(value) for key, value in values.items() if not key.startswith("_")}
    return {key: value for key, value in found.items() if value is not None}


def columns_of(rows: Iterable[Row]) -> dict[str, list[float]]:
    """Return each column's values, without its gaps."""
    columns: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    return columns


def describe(rows: Sequence[Row]) -> dict[str, float]:
    """Return mean, max, min, median and standard deviation of every column, as ``mean/reward``.

    A single number deviates by 0 if it is that of a single row; else nothing is said of its deviation.
    """
    found: dict[str, float] = {}
    for name, values in columns_of(rows).items():
        found[f"mean/{name}"] = mean(values)
        found[f"max/{name}"] = max(values)
        found[f"min/{name}"] = min(values)
        found[f"median/{name}"] = statistics.median(values)
        if len(values) > 1 or len(rows) == 1:
            found[f"std/{name}"] = deviation(values)
    return {key: value for key, value in found.items() if not math.isnan(value)}


def mean(values: Sequence[float]) -> float:
    """Return the mean; of infinities of both signs there is none, which is NaN."""
    return sum(values) / len(values)


def deviation(values: Sequence[float]) -> float:
    """Return the sample's standard deviation, 0 for a single value; infinite beyond all floats."""
    if len(values) == 1:
        return 0.0
    middle = mean(values)
    # By multiplication, which knows infinity; a power beyond all floats raises.
    return math.sqrt(sum((value - middle) * (value - middle) for value in values) / (len(values) - 1))


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile, interpolated between the two values around it."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def confidence_interval(center: float, error: float, count: int) -> tuple[float, float] | None:
    """Return the bounds between which the true mean is with 95 % confidence (Student's t).

    Args:
        center: the sample's mean.
        error: its standard error.
        count: how many values there were; of one nothing can be said.
    """
    if count <= 1:
        return None
    reach = quantile((1 + CONFIDENCE) / 2, count - 1) * error if error else 0.0
    return center - reach, center + reach
