"""Answers in messages: where they are, and when they are equal."""

from __future__ import annotations

import time
import unicodedata
from typing import Any

import pytest
import trio

from server.verify.answers import Extraction, extract, number, same_number, same_text
from server.verify.choices import chosen_letter


@pytest.mark.parametrize(
    ("text", "how", "expected"),
    [
        (r"so \boxed{1} or \boxed{\text{Paris}}", "boxed", "Paris"),
        (r"\boxed{\frac{1}{2}}", "boxed", r"\frac{1}{2}"),
        (r"\boxed{}", "boxed", None),
        (r"\boxed{7", "boxed", None),
        ("Answer: 3\nFinal answer: **Rome**\nbye", "final_answer", "Rome"),
        (r"Answer: \boxed{5}", "final_answer", "5"),
        (r"it is \boxed{5}", "final_answer", "5"),
        ("no idea", "final_answer", None),
        ("first\n last \n\n", "last_line", "last"),
        ("", "last_line", None),
        (" all of it ", "full_response", "all of it"),
        ("  ", "full_response", None),
    ],
)
def test_an_answer_is_found(text: str, how: Extraction, expected: Any) -> None:
    assert expected == extract(text, how)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Paris.", "paris"),
        (' "New  York" ', "new york"),
        ("\uff21", "a"),
        ("...", "..."),
        ("\"' a '\"", "a"),
        ("10 m\u00b2", "10 m2"),
    ],
)
def test_texts_are_the_same_but_for_their_spelling(answer: str, expected: str) -> None:
    assert same_text(answer, expected)


@pytest.mark.parametrize(
    ("answer", "expected"), [("", "paris"), ("paris or rome", "paris"), ("a", "b"), ("5\u00b2", "52")]
)
def test_other_texts_are_not(answer: str, expected: str) -> None:
    assert not same_text(answer, expected)
    assert not same_text("Paris", "paris", case_sensitive=True)


@pytest.mark.parametrize(
    "text", ["0.75", "3/4", "75%", r"\frac{3}{4}", "$0.750$", " +.75 ", "7.5e-1", r"75\%", "$0.75"]
)
def test_a_number_may_be_spelled_in_many_ways(text: str) -> None:
    assert same_number(text, "0.75")


@pytest.mark.parametrize(
    "text",
    ["", "x", "nan", "inf", "1/0", "1e999999999", "0.75 or 3", "9" * 10_000, "1,23", "True", "5\u00b2"],
)
def test_what_is_no_number_equals_none(text: str) -> None:
    assert number(text) is None
    assert not same_number(text, text)


def test_a_tolerance_is_absolute_below_one_and_relative_above() -> None:
    assert same_number("1,005", "1000", 0.01)
    assert not same_number("1011", "1000", 0.01)
    assert not same_number("0.02", "0.0", 0.01)


MARKS = "\u0315" * 50_000 + "\u0316" * 50_000


@pytest.mark.parametrize("expected", ["paris", "paris " * 20_000], ids=["short", "long"])
def test_a_message_of_accents_keeps_nobody_waiting(expected: str) -> None:
    started = time.process_time()  # in quadratic time it would be half a minute for each
    assert not same_text(MARKS, expected)
    assert not same_number(MARKS, expected)
    assert chosen_letter(f"\\boxed{{{MARKS}}}", {"A": expected}, "lenient_boxed") is None
    assert time.process_time() - started < 4.0


def test_accents_are_one_spelling_however_long_the_text() -> None:
    words = "caf\u00e9 cr\u00e8me " * 100
    assert same_text(unicodedata.normalize("NFD", words), words)


def test_what_is_far_longer_is_not_the_same_text() -> None:
    assert same_text("paris" + " " * 900, "paris")
    assert not same_text("paris" + " " * 100_000, "paris")


async def test_a_message_of_quotes_keeps_nobody_waiting() -> None:
    with trio.fail_after(20):  # in quadratic time it would be hours
        assert not same_text('"' * 20_000_000, "paris")
        await trio.lowlevel.checkpoint()
