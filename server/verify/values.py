"""When two JSON values are equal.

By value, with JSON's types kept apart: ``true`` is not ``1`` and ``"1"`` is not either, while ``1`` and
``1.0`` are the same number. Python's own ``==`` says otherwise about the first.
"""

from __future__ import annotations

import math
from typing import Any

from tools.shapes import is_dict, is_list


def same_value(expected: Any, found: Any, tolerance: float = 0.0) -> bool:
    """Whether `found` is the value that was expected.

    Args:
        expected: parsed JSON.
        found: parsed JSON.
        tolerance: how far apart two numbers may be, absolutely or relative to the expected one. Not for
            integers on both sides.
    """
    if is_dict(expected):
        return (
            is_dict(found)
            and expected.keys() == found.keys()
            and all(same_value(item, found[key], tolerance) for key, item in expected.items())
        )
    if is_list(expected):
        return (
            is_list(found)
            and len(expected) == len(found)
            and all(same_value(*pair, tolerance) for pair in zip(expected, found, strict=True))
        )
    if is_number(expected) and is_number(found):
        return same_number(expected, found, tolerance)
    return type(expected) is type(found) and bool(expected == found)


def is_number(value: object) -> bool:
    """Whether `value` is a JSON number; a truth is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def same_number(expected: float, found: float, tolerance: float) -> bool:
    """Whether two numbers are equal, or no farther apart than `tolerance`; not-a-number never is."""
    if expected == found:
        return True
    if isinstance(expected, int) and isinstance(found, int):
        return False
    try:
        wanted, got = float(expected), float(found)
    except OverflowError:
        return False
    if not (math.isfinite(wanted) and math.isfinite(got)):
        return False
    return abs(got - wanted) <= tolerance * max(1.0, abs(wanted))
