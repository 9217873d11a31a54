"""When outputs agree, and that a part of one never does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.verify.comparators import by_lines, by_tokens, exactly


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ("1\n2\n", "1\n2"),
        ("1\n2\n", "  1  \n2\t\n\n\n"),
        ("1.0 2", "1 2.00"),
        ("1e3", "1000"),
        ("-0", "0"),
        ("", "\n\n"),
        ("a  b", "a  b"),
    ],
)
def test_lines_agree_but_for_blanks_around_them_and_ways_to_write_a_number(
    expected: str, printed: str
) -> None:
    assert by_lines(expected, printed) is None


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ("1\n2\n", "1\n"),
        ("1\n2\n", "1\n2\n3\n"),
        ("1 2", "1"),
        ("1 2", "1 2 3"),
        ("1 2", "12"),
        ("1\n2", "1\n\n2"),
        ("1", ""),
        ("Yes", "YES"),
        ("0.1", "0.10000000000000001"),
        ("nan", "NaN"),
        ("1", "sNaN"),
        ("a b", "a  b"),
    ],
)
def test_lines_that_differ_anywhere_do_not_agree(expected: str, printed: str) -> None:
    assert by_lines(expected, printed) is not None


def test_the_reasons_are_those_that_live_code_bench_gives() -> None:
    assert by_lines("1\n2", "1") == "Wrong answer: mismatched output length"
    assert by_lines("1\n2", "1\n3") == "Wrong answer at line 1: 3 != 2"


def test_tokens_agree_within_a_tolerance_only_where_a_fraction_is_expected() -> None:
    compare = by_tokens(1e-6)
    assert compare("x 0.5\n1", "x\n0.5000004 1") is None
    assert compare("1e6", "1000000.5") is None
    for expected, printed in (
        ("0.5", "0.51"),
        ("1", "1.0000001"),
        ("1.0", "nan"),
        ("1.0", "inf"),
        ("0.5", "x"),
    ):
        assert compare(expected, printed) is not None
    assert compare("0.5 1", "0.5") == "Wrong answer: mismatched number of tokens"
    assert compare("1.0", "1e999999999") is not None


def test_tokens_without_tolerance_are_compared_as_text() -> None:
    assert by_tokens()("1 2\n", "1\n2") is None
    assert by_tokens()("1.0", "1.00") is not None


def test_exactly_forgives_nothing() -> None:
    assert exactly("1\n", "1\n") is None
    assert exactly("1\n", "1") is not None


@given(st.text(), st.text())
def test_comparators_take_any_text(expected: str, printed: str) -> None:
    for compare in (by_lines, by_tokens(), by_tokens(1e-3), exactly):
        assert compare(expected, expected) is None
        compare(expected, printed)
