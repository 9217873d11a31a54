"""Calls as logged, against expected ones."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.observation import CallRecord, Observation, Outcome
from server.verify.trajectory import ExpectedCall, Order, calls_match


def made(*calls: tuple[str, dict[str, Any]], outcome: Outcome = Outcome.OK) -> list[CallRecord]:
    return [CallRecord(tool, arguments, Observation(outcome=outcome)) for tool, arguments in calls]


A, B = ("a", {"x": 1}), ("b", {"y": [1.0, "z"]})
WANTED = [ExpectedCall(*A), ExpectedCall(*B)]


@pytest.mark.parametrize(
    ("calls", "exact", "in_order", "any_order"),
    [
        ([], False, False, False),
        ([A, B], True, True, True),
        ([B, A], False, False, True),
        ([A, ("c", {}), B], False, True, True),
        ([A, A, B, B], False, True, True),
        ([A], False, False, False),
        ([A, A], False, False, False),
        ([A, ("b", {"y": [1, "z"]})], True, True, True),
        ([("a", {"x": True}), B], False, False, False),
        ([("a", {"x": 1, "more": 1}), B], False, False, False),
        ([("mcp__home__a", {"x": 1}), B], True, True, True),
    ],
)
def test_three_orders(calls: Any, exact: bool, in_order: bool, any_order: bool) -> None:
    for order, expected in (("exact", exact), ("in_order", in_order), ("any_order", any_order)):
        kind: Order = order  # type: ignore[assignment]  # one of the three
        assert expected == calls_match(made(*calls), WANTED, kind), order


@pytest.mark.parametrize(
    ("wanted", "logged", "expected"),
    [
        ("mcp__home__get__x", "get__x", True),
        ("mcp__home__get__x", "mcp__home__get__x", True),
        ("mcp__home__get__x", "x", False),
        ("get__x", "x", False),
        ("mcp__x", "x", False),
    ],
)
def test_a_name_with_underlines_is_whole_behind_a_servers_prefix(
    wanted: str, logged: str, expected: bool
) -> None:
    assert expected == calls_match(made((logged, {})), [ExpectedCall(wanted)])


def test_any_order_shares_calls_out_as_well_as_it_can() -> None:
    wanted = [ExpectedCall("a"), ExpectedCall("a", {"x": 1})]
    assert calls_match(made(A, ("a", {"x": 2})), wanted, "any_order")
    assert calls_match(made(("a", {"x": 2}), A), wanted, "any_order")
    assert not calls_match(made(A), wanted, "any_order")


def test_failed_calls_can_be_overlooked_but_do_not_count() -> None:
    calls = [*made(A, outcome=Outcome.ERROR), *made(A, B)]
    assert not calls_match(calls, WANTED)
    assert calls_match(calls, WANTED, succeeded_only=True)
    assert not calls_match(made(A, B, outcome=Outcome.TIMEOUT), WANTED, "any_order", succeeded_only=True)


def test_expecting_nothing_rewards_doing_nothing_only() -> None:
    assert calls_match([], [])
    assert not calls_match(made(A), [], "any_order")


def test_arguments_that_the_log_had_no_room_for_are_no_certain_ones() -> None:
    call = CallRecord("a", {}, Observation(outcome=Outcome.OK), {"arguments": "00"})
    assert not calls_match([call], [ExpectedCall("a", {})])
    assert calls_match([call], [ExpectedCall("a")])
