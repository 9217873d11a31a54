"""Scores into rewards."""

from __future__ import annotations

import math
from typing import Any

import pytest

from server.verify.combine import BadScoreError, all_of, any_of, gate, multi_reward, weighted


def test_a_weighted_mean_needs_a_weight_for_each() -> None:
    assert 0.75 == weighted({"a": 1.0, "b": 0.0}, {"a": 3, "b": 1})
    for weights in ({"a": 1}, {"a": 1, "b": -1}, {"a": 0, "b": 0}, {}):
        with pytest.raises(BadScoreError):
            weighted({"a": 1.0, "b": 0.0}, weights)


def test_all_any_and_gates() -> None:
    assert (0.5, 1.0) == (all_of(1, 0.5), any_of(True, 0.5))
    assert (0.0, 0.0) == (all_of(), any_of())
    assert (0.5, 0.0, 0.0) == (gate(True, 0.5), gate(False, 0.5), gate(0.99, 0.5))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_our_mistake(bad: float) -> None:
    for combine in (all_of, any_of):
        with pytest.raises(BadScoreError):
            combine(1.0, bad)
    with pytest.raises(BadScoreError):
        multi_reward({"a": bad}, 1.0)


def test_several_rewards_are_told_as_nemo_gym_has_them() -> None:
    verdict = multi_reward({"style": 0.5, "correct": True}, 0.75, {"note": "x"})
    assert verdict.reward == 0.75
    assert verdict.fields == {
        "note": "x",
        "style": 0.5,
        "correct": 1.0,
        "reward_components": {"style": 0.5, "correct": 1.0},
    }


@pytest.mark.parametrize(
    ("components", "fields"), [({"reward": 1.0}, {}), ({"_x": 1.0}, {}), ({"note": 1.0}, {"note": "x"})]
)
def test_a_component_may_hide_no_field(components: Any, fields: Any) -> None:
    with pytest.raises(BadScoreError):
        multi_reward(components, 1.0, fields)
