r"""Answers in ``\boxed{...}``: two rules for where one ends, and what counts as the same answer.

NeMo Gym's math_with_code has had both. Its recorded rollouts were scored by the first: the first box of the
message, up to the first closing brace whatever was opened before, compared as text. So
``\boxed{\frac{1}{2}}`` is ``\frac{1``, and no answer with braces can be right. `FLAT` does the same, because
scores have to be comparable. `NESTED` is the later rule: the last box, braces counted, and mathematical
delimiters around an answer do not count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from tools.shapes import is_dict, is_list

_MARK = "\\boxed{"
_WRAPPERS = (("\\(", "\\)"), ("$", "$"), ("\\text{", "}"))
_TOLERANCE = 1e-6


@attrs.frozen
class BoxRule:
    """How to find a message's boxed answer, and when it is the expected one."""

    find: Callable[[str], str | None]
    agree: Callable[[str, str], bool]


def first_flat(text: str) -> str | None:
    r"""Return what the first box that ends holds up to the first closing brace, stripped."""
    # By hand, for a regular expression would take quadratic time over a text of boxes that never end.
    start = text.find(_MARK)
    while start >= 0:
        start += len(_MARK)
        end = text.find("}", start)
        if end > start:
            return text[start:end].strip()
        start = text.find(_MARK, start) if end >= 0 else -1
    return None


def last_nested(text: str) -> str | None:
    """Return what the last box holds, braces inside it counted; None if it is empty or never closed."""
    start = text.rfind(_MARK)
    if start < 0:
        return None
    start += len(_MARK)
    depth = 1
    for brace in re.finditer(r"[{}]", text[start:]):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return text[start : start + brace.start()].strip() or None
    return None


def same_text(answer: str, expected: str) -> bool:
    """Whether the two are equal, character by character."""
    return answer == expected


def same_answer(answer: str, expected: str) -> bool:
    """Whether the two are equal without delimiters and surplus blanks, or as numbers, to a millionth."""
    answer, expected = _bare(answer), _bare(expected)
    if answer == expected:
        return True
    try:
        found, wanted = float(answer), float(expected)
    except ValueError:
        return False
    return abs(found - wanted) < _TOLERANCE * max(1.0, abs(wanted))


def _bare(text: str) -> str:
    text = text.strip()
    for start, end in _WRAPPERS:
        if text.startswith(start) and text.endswith(end) and len(text) >= len(start) + len(end):
            text = text[len(start) : len(text) - len(end)].strip()
    return " ".join(text.split())


FLAT = BoxRule(first_flat, same_text)
NESTED = BoxRule(last_nested, same_answer)


def boxed_answer(response: Mapping[str, Any], rule: BoxRule = FLAT) -> str | None:
    """Return the boxed answer of the last assistant message that has one.

    Only messages count: what the model had a tool print is no answer, however many boxes it holds.
    """
    output = response.get("output")
    for item in reversed(output if is_list(output) else []):
        if is_dict(item) and item.get("type") == "message" and item.get("role") == "assistant":
            answer = rule.find(_text(item.get("content")))
            if answer is not None:
                return answer
    return None


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if is_list(content) else []
    texts = [part.get("text") for part in parts if is_dict(part) and part.get("type") == "output_text"]
    return "".join(text for text in texts if isinstance(text, str))
