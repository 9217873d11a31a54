"""Compares a candidate's plain data with an expected JSON value, and builds no sets, nor dicts but by texts.

Works on the parsed text of `tools.plain`, because a hostile set can be slow to build (its hashes may all be
the same) and the server has no time for that.
"""

from __future__ import annotations

import json
import math
from typing import Any

from tools.shapes import is_dict, is_list

_RELATIVE, _ABSOLUTE = 1e-5, 1e-8


def matches(expected: Any, text: str) -> bool:
    """Whether the value in `text` is the one that `expected` describes in JSON.

    As LiveCodeBench's grader has it: tuples count as lists, dicts are compared by what JSON makes of their
    keys, numbers by value (True is 1, 1 is 1.0), and two plain numbers may differ by one part in 100,000.

    Args:
        expected: of the data set, parsed.
        text: of the candidate, a text of `tools.plain`; anything else matches nothing.
    """
    try:
        data = json.loads(text)
        if _is_number(expected) and _is_number(data) and _are_close(expected, data):
            return True
        return _same(expected, data)
    except (ValueError, TypeError, RecursionError, OverflowError):
        return False


def _same(expected: Any, data: Any) -> bool:
    if is_list(data):
        tag, *items = data
        if tag in ("l", "t"):
            return _same_items(expected, items)
        if tag == "d":
            return _same_pairs(expected, items)
        return _same_scalar(expected, tag, items)
    if is_dict(data):  # no writer makes one
        return False
    if isinstance(expected, str) or isinstance(data, str):
        return isinstance(expected, str) and isinstance(data, str) and expected == data
    return (expected is None) == (data is None) and bool(expected == data)


def _same_items(expected: Any, items: list[Any]) -> bool:
    if not is_list(expected) or len(expected) != len(items):
        return False
    return all(_same(*pair) for pair in zip(expected, items, strict=True))


def _same_pairs(expected: Any, items: list[Any]) -> bool:
    if not is_dict(expected) or 2 * len(expected) != len(items):
        return False
    found = {_key(key): item for key, item in zip(items[::2], items[1::2], strict=True)}
    return found.keys() == expected.keys() and all(_same(expected[key], found[key]) for key in expected)


def _same_scalar(expected: Any, tag: str, items: list[Any]) -> bool:
    """Compare with what plain JSON has no place for."""
    (payload,) = items
    if tag == "i":
        return isinstance(expected, int) and bool(hex(expected) == payload)
    if tag == "f" and isinstance(expected, float):
        return expected == float(payload)
    if tag == "u" and isinstance(expected, str):
        return expected.encode("utf-8", "surrogatepass").hex() == str(payload)
    return False


def _key(key: Any) -> str:
    """Return what JSON makes of a dict's key."""
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool | int | float):
        return json.dumps(key)
    raise TypeError


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _are_close(expected: float, data: float) -> bool:
    if not (math.isfinite(expected) and math.isfinite(data)):
        return False
    return abs(float(data) - float(expected)) <= _ABSOLUTE + _RELATIVE * abs(float(expected))
