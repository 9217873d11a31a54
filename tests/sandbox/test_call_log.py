"""The log of calls: what it keeps, what goes first, and that the record says so."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from sandbox.call_log import RECORD_BYTES, CallLog, digest
from sandbox.observation import Observation, Outcome

KIB = 1024


def seen(size: int = 0, value: Any = None) -> Observation:
    return Observation(outcome=Outcome.OK, value=value, stdout="x" * size)


def filled(room: int, *calls: tuple[Any, Observation]) -> CallLog:
    log = CallLog(room)
    for argument, observation in calls:
        log.add("do", {"it": argument}, observation)
    return log


def left_out(log: CallLog) -> list[set[str]]:
    return [set(record.left_out) for record in log.records]


def test_what_fits_is_kept_as_it_was() -> None:
    log = filled(64 * KIB, ("a", seen(KIB)), ("b", seen(0, {"c": [1, None]})))
    assert [{"it": "a"}, {"it": "b"}] == [record.arguments for record in log.records]
    assert [seen(KIB), seen(0, {"c": [1, None]})] == [record.observation for record in log.records]
    assert [set(), set()] == left_out(log)
    assert not log.is_full


def test_the_oldest_outputs_go_first() -> None:
    log = filled(64 * KIB, *((number, seen(20 * KIB)) for number in range(5)))
    assert [{"stdout"}, {"stdout"}, {"stdout"}, set(), set()] == left_out(log)
    assert [{"it": number} for number in range(5)] == [record.arguments for record in log.records]
    assert ["", "", "", "x" * 20 * KIB, "x" * 20 * KIB] == [each.observation.stdout for each in log.records]


def test_an_output_with_no_room_in_an_empty_log_takes_no_other_along() -> None:
    log = filled(64 * KIB, ("a", seen(KIB)), ("b", seen(70 * KIB)), ("c", seen(KIB)))
    assert [set(), {"stdout"}, set()] == left_out(log)


def test_arguments_go_when_all_outputs_are_gone() -> None:
    big = "y" * 40 * KIB
    log = filled(56 * KIB, ("a", seen(10 * KIB)), (big, seen(KIB)), (big, seen(KIB)), ("d", seen(KIB)))
    assert [{"stdout"}, set(), {"arguments"}, set()] == left_out(log)
    assert [{"it": "a"}, {"it": big}, {}, {"it": "d"}] == [record.arguments for record in log.records]


def test_outcomes_are_kept_whatever_goes() -> None:
    late = Observation(
        outcome=Outcome.TIMEOUT, stdout="x" * KIB, truncated=("stdout",), interpreter_reset=True
    )
    (record,) = filled(KIB, ("z" * KIB, late)).records
    kept = record.observation
    assert (Outcome.TIMEOUT, ("stdout",), True) == (kept.outcome, kept.truncated, kept.interpreter_reset)


def test_what_is_left_out_can_be_told_by_its_digest() -> None:
    value = {"b": [1, None], "a": "é"}
    (record,) = filled(KIB, ("z" * KIB, seen(3, value))).records
    assert {"arguments", "value", "stdout"} == set(record.left_out)
    assert digest({"it": "z" * KIB}) == record.left_out["arguments"]
    spelled = b'{"a":"\\u00e9","b":[1,null]}'
    assert hashlib.sha256(spelled).hexdigest() == record.left_out["value"]


@pytest.mark.parametrize("argument", [1, "y" * 100 * KIB])
def test_it_is_full_when_names_alone_have_no_room(argument: Any) -> None:
    log = CallLog(64 * KIB)
    while not log.is_full:
        log.add("do", {"it": argument}, seen(KIB))
    assert 32 < len(log.records) <= 64 * KIB // RECORD_BYTES


@pytest.mark.parametrize(
    "value", [[[]] * 1000, {str(number): 1.5 for number in range(1000)}, ["é" * 500] * 5]
)
def test_it_never_takes_more_than_its_room(value: Any) -> None:
    log = CallLog(64 * KIB)
    while not log.is_full:
        log.add("do", {"it": value}, seen(KIB, value))
        assert log.size <= 64 * KIB
