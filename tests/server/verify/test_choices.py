"""Multiple choice: letters, texts, and messages that choose everything."""

from __future__ import annotations

from typing import Any

import pytest

from server.verify.choices import chosen_letter, letter_of

OPTIONS = {"A": "Karyotyping", "B": "Polymerase Chain Reaction (PCR)", "C": "None of these", "D": "None"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\boxed{B}", "B"),
        (r"\boxed{A} no, \boxed{(B)}", "B"),
        (r"\boxed{\text{B}}", "B"),
        (r"\boxed{B: Polymerase}", "B"),
        (r"\boxed{B) Polymerase}", "B"),
        (r"\boxed{E}", None),
        (r"\boxed{b}", None),
        (r"\boxed{AB}", None),
        (r"\boxed{A, B, C, D}", None),
        (r"\boxed{Karyotyping}", None),
        ("B", None),
        ("", None),
    ],
)
def test_a_strict_box_holds_one_letter(text: str, expected: Any) -> None:
    assert expected == chosen_letter(text, OPTIONS, "strict_single_letter_boxed")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\boxed{it is karyotyping}", "A"),
        (r"\boxed{Karyotyping and Polymerase Chain Reaction (PCR)}", None),
        (r"\boxed{B}", "B"),
        (r"\boxed{nothing}", None),
    ],
)
def test_a_lenient_box_may_hold_one_options_text(text: str, expected: Any) -> None:
    assert expected == chosen_letter(text, OPTIONS, "lenient_boxed")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Answer: b", "B"),
        ("ANSWER: (C)", "C"),
        ("answer: Karyotyping", "A"),
        ("Answer: A or B", None),
        ("B", None),
    ],
)
def test_an_answer_behind_a_colon(text: str, expected: Any) -> None:
    assert expected == chosen_letter(text, OPTIONS, "lenient_answer_colon")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("**Answer**: B", "B"),
        ("Answer: A\n...\n**Answer:** **C**", "C"),
        ("Answer: B because A is wrong", "B"),
        ("Answer: the choice is D", "D"),
        ("Answer: A, B", None),
        ("Answer: A or B", None),
        ("Answer: between A and B", None),
        (r"Answer: \boxed{B}", "B"),
        ("nothing", None),
    ],
)
def test_an_answer_behind_a_colon_in_markdown(text: str, expected: Any) -> None:
    assert expected == chosen_letter(text, OPTIONS, "lenient_answer_colon_md")


def test_what_a_pattern_captured_is_a_letter_or_an_options_text() -> None:
    assert ("B", "A", None) == tuple(letter_of(each, OPTIONS) for each in ("b", " Karyotyping ", "nothing"))
