"""JSON values, by value and with their types."""

from __future__ import annotations

import math
from typing import Any

import pytest

from server.verify.values import same_value


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (1, 1.0),
        ({"a": [1, {"b": None}]}, {"a": [1.0, {"b": None}]}),
        ([], []),
        ("1", "1"),
        (10**400, 10**400),
    ],
)
def test_equal_values(expected: Any, found: Any) -> None:
    assert same_value(expected, found)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (True, 1),
        (1, True),
        (0, False),
        ("1", 1),
        (None, 0),
        (None, False),
        ([1], [1, 1]),
        ([1, 1], [1]),
        ({}, []),
        ({"a": 1}, {"a": 1, "b": 1}),
        (math.nan, math.nan),
        (10**400, 1.0),
        (1.0, 10**400),
        (3, 4),
    ],
)
def test_other_values(expected: Any, found: Any) -> None:
    assert not same_value(expected, found, 0.5)


def test_a_tolerance_is_for_numbers_with_a_point() -> None:
    assert same_value([100.0], [100.4], 0.005)
    assert not same_value([100.0], [100.6], 0.005)
