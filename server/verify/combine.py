"""Several scores into one reward, and several rewards into a verdict.

A score is a number; a truth is 1 or 0. What comes in must be finite, so that a mistake is an error of ours
and not a reward.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from server.environment import Verdict

_TAKEN = frozenset({"reward", "reward_components", "response", "responses_create_params", "tier"})


class BadScoreError(ValueError):
    """Scores that make no reward: not finite, no weights for them, or names that are taken."""


def weighted(scores: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Return the weighted mean of `scores`.

    Raises:
        BadScoreError: the names of the two differ, a weight is negative, or all are 0.
    """
    total = math.fsum(weights.values())
    if scores.keys() != weights.keys() or min(weights.values(), default=-1) < 0 or total <= 0:
        msg = f"scores {sorted(scores)} and weights {dict(weights)} do not fit"
        raise BadScoreError(msg)
    return math.fsum(_finite(name, scores[name]) * weight for name, weight in weights.items()) / total


def all_of(*scores: float) -> float:
    """Return the least of the scores; of none at all, 0."""
    return min((_finite("score", score) for score in scores), default=0.0)


def any_of(*scores: float) -> float:
    """Return the greatest of the scores; of none at all, 0."""
    return max((_finite("score", score) for score in scores), default=0.0)


def gate(is_open: float, score: float) -> float:
    """Return `score` if the gate is 1 (or True), else 0: what must hold before anything counts."""
    return _finite("score", score) if is_open == 1 else 0.0


def multi_reward(
    components: Mapping[str, float], reward: float, fields: Mapping[str, Any] | None = None
) -> Verdict:
    """Return a verdict with several rewards as NeMo Gym has them.

    The reply gets ``reward``, ``reward_components`` and, for each component, a number of that name beside
    them.

    Args:
        components: name to reward.
        reward: the one scalar, made of them by a function above.
        fields: more of the reply's fields.

    Raises:
        BadScoreError: a name is taken, begins with an underscore, or is one of `fields`.
    """
    values = {name: _finite(name, value) for name, value in components.items()}
    for name in values:
        if name in _TAKEN or name.startswith("_") or name in (fields or {}):
            msg = f"a reward cannot be called {name!r}: the reply has a field of that name, or would hide it"
            raise BadScoreError(msg)
    return Verdict(_finite("reward", reward), {**(fields or {}), **values, "reward_components": values})


def _finite(name: str, score: float) -> float:
    value = float(score)
    if not math.isfinite(value):
        msg = f"{name} is {value}"
        raise BadScoreError(msg)
    return value
