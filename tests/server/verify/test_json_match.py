"""A candidate's plain data against expected JSON."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from server.verify.json_match import matches
from tools import plain


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        (1, 1),
        (1, True),
        (1, 1.0),
        (2**70, 2**70),
        ("a", "a"),
        ("\ud800", "\ud800"),
        (None, None),
        ([1, [2, "x"]], (1, [2, "x"])),
        ([], ()),
        ({"1": [2]}, {1: (2,)}),
        ({"a": None, "true": 0}, {"a": None, True: False}),
        (0.3, 0.1 + 0.2),
        (1.0, 1.000001),
        (100000, 100000.5),
    ],
)
def test_what_agrees(expected: Any, value: Any) -> None:
    assert matches(expected, plain.dumps(value))


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        (1, 2),
        (1, "1"),
        ("1", 1),
        (0, None),
        (None, 0),
        (0, []),
        ([], {}),
        ({}, []),
        ([1, 2], [1]),
        ([1], [1, 2]),
        ([1, 2], {1, 2}),
        ([0.3], [0.1 + 0.2]),
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"b": 1}),
        ({"1": 1}, {1: 1, "1": 2}),
        ({"1": 1}, {(1,): 1}),
        (1, 2**70),
        (1.0, math.nan),
        (1.0, math.inf),
        ("x", b"x"),
        (1, 1 + 0j),
        ([1], range(1, 2)),
    ],
)
def test_what_does_not(expected: Any, value: Any) -> None:
    assert not matches(expected, plain.dumps(value))


@pytest.mark.parametrize(
    "text", ["", "[", "[]", "{}", '["?",1]', '["d",1]', '["d",{},1]', '["f","x"]', '["i",1]', "[" * 9000]
)
def test_what_is_no_encoding_matches_nothing(text: str) -> None:
    for expected in (1, 1.0, "x", None, [], [1], {}, {"a": 1}, 2**70):
        assert not matches(expected, text)


def test_a_set_made_to_be_slow_costs_nothing() -> None:
    """All of its hashes are the same, so building it would take many seconds."""
    text = '["S",' + ",".join(f'["i","{hex((2**61 - 1) * number)}"]' for number in range(1, 40_000)) + "]"
    started = time.process_time()
    assert not matches([1], text)
    assert not matches({"a": 1}, text)
    assert time.process_time() - started < 1.0
