from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.limits import Limits

NAMES = sorted(attrs.fields_dict(Limits))
WHOLE = [name for name in NAMES if not name.endswith("_seconds")]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, -1, math.nan, -math.inf, True, "5", None, [1]], ids=repr)
def test_a_bound_that_is_no_number_above_zero_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Limits(**{name: value})


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("value", [10.5, 100.0, math.inf])
def test_what_is_counted_takes_whole_numbers_only(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        Limits(**{name: value})  # type: ignore[arg-type]


def test_fewer_processes_than_any_tool_needs_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 5"):
        Limits(processes=4)
    with pytest.raises(ValueError, match="at least 5"):
        Limits().lowered({"processes": 4})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, -1, math.nan, True, "1", None, 1e30], ids=repr)
def test_a_row_cannot_ask_for_what_is_no_lower_bound(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Limits().lowered({name: value})


@pytest.mark.parametrize("name", WHOLE)
def test_a_row_cannot_ask_for_a_fraction_of_what_is_counted(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Limits().lowered({name: 10.5})


def test_a_row_cannot_ask_for_a_limit_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match=r"gold: no such limit; there are call_seconds, "):
        Limits().lowered({"gold": 1})


@given(st.sampled_from(NAMES), st.integers(5, 20))
def test_lowering_changes_what_is_named_and_nothing_else(name: str, value: int) -> None:
    before = Limits()
    after = before.lowered({name: value})
    assert value == getattr(after, name)
    assert before == attrs.evolve(after, **{name: getattr(before, name)})


def test_lowering_to_the_same_or_by_nothing_is_allowed() -> None:
    assert Limits() == Limits().lowered({})
    assert Limits() == Limits().lowered(attrs.asdict(Limits()))


def test_the_defaults_are_those_that_are_promised() -> None:
    assert {
        "call_seconds": 30.0,
        "idle_seconds": 600.0,
        "session_seconds": 3600.0,
        "memory_bytes": 512 << 20,
        "processes": 64,
        "disk_bytes": 256 << 20,
        "disk_inodes": 16_384,
        "output_bytes": 64 << 10,
        "flood_bytes": 64 << 20,
        "log_bytes": 16 << 20,
        "final_state_bytes": 64 << 20,
        "final_state_files": 4096,
    } == attrs.asdict(Limits())
