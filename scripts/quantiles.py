"""Quantiles of measured times, as the scripts print them."""

from __future__ import annotations

import math
from collections.abc import Sequence


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed; NaN of none.

    Args:
        values: in any order.
        share: above 0, at most 1; 0.5 asks for the median, 0.99 for what 99 % stay within.
    """
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def milliseconds(seconds: float) -> str:
    """Return a time with three significant digits, in milliseconds."""
    if math.isnan(seconds):
        return "?"
    value = seconds * 1000
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2  # noqa: PLR2004  # three digits in all
    return f"{value:.{decimals}f} ms"
