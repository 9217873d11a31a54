"""Quantiles of Student's t distribution: all that the reports need of SciPy, which is large."""

from __future__ import annotations

import math
from functools import lru_cache

_TINY = 1e-300
_MAX_TERMS = 10_000


@lru_cache(maxsize=1024)
def quantile(probability: float, freedom: int) -> float:
    """Return the t that is not exceeded with `probability`, for so many degrees of freedom.

    Good to some twelve digits.

    Args:
        probability: above 0.5 and below 1.
        freedom: at least 1.
    """
    low, high = 0.0, 1.0
    while _cumulative(high, freedom) < probability:
        high *= 2
    middle = high
    while low < high:
        middle = (low + high) / 2
        if middle in {low, high}:
            break
        if _cumulative(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return middle


def _cumulative(t: float, freedom: int) -> float:
    """Return the probability that t is not exceeded, for a t of 0 or more."""
    return 1 - _incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5) / 2


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function, by that continued fraction which converges fast."""
    if x in {0.0, 1.0}:
        return x
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(scale) * _continued_fraction(x, a, b) / a


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Evaluate it by Lentz's method."""
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or _TINY)
    value = d
    for m in range(1, _MAX_TERMS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + term * d or _TINY)
            c = 1 + term / c or _TINY
            factor = c * d
            value *= factor
        if factor == 1:
            break
    return value
