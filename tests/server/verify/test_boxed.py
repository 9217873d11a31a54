"""Boxed answers by both rules."""

from __future__ import annotations

import time
from typing import Any

import pytest

from server.verify.boxed import FLAT, NESTED, boxed_answer


def response(*messages: Any) -> dict[str, Any]:
    return {
        "output": [
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
            for text in messages
        ]
    }


@pytest.mark.parametrize(
    ("text", "flat", "nested"),
    [
        (r"so \boxed{-3}.", "-3", "-3"),
        (r"\boxed{ 7 }", "7", "7"),
        (r"\boxed{\dfrac{83}{499}}", r"\dfrac{83", r"\dfrac{83}{499}"),
        (r"\boxed{1} or \boxed{2}", "1", "2"),
        (r"\boxed{}", None, None),
        (r"\boxed{}, \boxed{4}", "4", "4"),
        (r"\boxed{a", None, None),
        ("nothing", None, None),
    ],
)
def test_where_a_box_begins_and_ends(text: str, flat: str | None, nested: str | None) -> None:
    assert flat == boxed_answer(response(text), FLAT)
    assert nested == boxed_answer(response(text), NESTED)


def test_boxes_that_never_end_take_no_time() -> None:
    text = "\\boxed{" * 200_000
    started = time.process_time()
    assert boxed_answer(response(text), FLAT) is None
    assert boxed_answer(response(text), NESTED) is None
    assert boxed_answer(response(text + "x}"), NESTED) == "x"
    assert time.process_time() - started < 1.0


def test_the_last_message_with_a_box_counts() -> None:
    assert boxed_answer(response(r"\boxed{1}", r"\boxed{2}", "done")) == "2"


def test_only_what_the_assistant_says_counts() -> None:
    others = [
        {"type": "message", "role": "user", "content": r"\boxed{1}"},
        {"type": "function_call_output", "output": r"\boxed{1}"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "refusal", "text": r"\boxed{1}"}, "x", {}],
        },
        {"type": "reasoning", "content": [{"type": "output_text", "text": r"\boxed{1}"}]},
        "no item",
    ]
    assert boxed_answer({"output": others}) is None
    assert boxed_answer({"output": None}) is None
    assert boxed_answer({}) is None


def test_the_flat_rule_compares_text_and_the_nested_rule_answers() -> None:
    assert not FLAT.agree("0.50", "0.5")
    assert FLAT.agree("0.5", "0.5")
    for answer, expected in (
        ("0.50", ".5"),
        (r"\sqrt{2}", r"\(\sqrt{2}\)"),
        ("x  y", r"$\text{x y}$"),
        ("1e0", "1"),
    ):
        assert NESTED.agree(answer, expected)
    for answer, expected in (("nan", "0"), ("nan", "inf"), ("inf", "0"), ("2", "3"), ("x", "1"), ("$", "1")):
        assert not NESTED.agree(answer, expected)
