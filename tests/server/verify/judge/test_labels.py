"""What an answer says, or that it says nothing."""

from __future__ import annotations

import time
from typing import Any

import pytest

from server.verify.judge.labels import read_label, without_labels

EQUAL, DIFFERENT = LABELS = "[[A=B]]", "[[A!=B]]"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("They agree. [[A=B]]", EQUAL),
        ("[[A=B]] yes, [[A=B]]", EQUAL),
        ("no: [[A!=B]].", DIFFERENT),
        ("<think>maybe [[A=B]]</think>[[A!=B]]", DIFFERENT),
        ("maybe [[A=B]]</think>[[A!=B]]", DIFFERENT),
        ("I choose between [[A=B]] and [[A!=B]]: [[A=B]]", None),
        ("[[A!=B]] ... no, [[A=B]]", None),
        ("<think>[[A=B]]", None),
        ("[[A=B]]<think>or</think><Reasoning>[[A!=B]]</reasoning>", EQUAL),
        ("<think><reasoning>[[A=B]]</reasoning>[[A!=B]]", None),
        ("A=B", None),
        ("", None),
    ],
)
def test_one_label_is_an_answer_and_two_are_none(text: str, label: Any) -> None:
    assert label == read_label(text, LABELS)


def test_a_label_within_another_is_not_taken_for_it() -> None:
    assert "NOT EQUAL" == read_label("so: NOT EQUAL", ("EQUAL", "NOT EQUAL"))


def test_thoughts_that_never_end_are_read_past_in_no_time() -> None:
    text = "<think>" * 200_000  # in quadratic time it would be a minute
    started = time.process_time()
    assert read_label(text + "[[A=B]]", LABELS) is None
    assert read_label(text + "</think>[[A=B]]", LABELS) == EQUAL
    assert time.process_time() - started < 10.0


@pytest.mark.parametrize(
    "text", ["[[A=B]]", "[[a = b]]", "[ [A=B] ]", "[[A\u200b=B]]", "\uff3b\uff3bA\uff1dB]]"]
)
def test_labels_are_taken_out_of_what_candidates_write(text: str) -> None:
    assert "say [removed] now" == without_labels(f"say {text} now", LABELS)
