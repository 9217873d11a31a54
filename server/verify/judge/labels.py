"""Which label an answer gives. One that gives two different ones has given none."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_THINKING = re.compile(r"<(think|thinking|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_TAIL = re.compile(r"</(?:think|thinking|reasoning)>", re.IGNORECASE)
_HEAD = re.compile(r"<(?:think|thinking|reasoning)>", re.IGNORECASE)


def without_thinking(text: str) -> str:
    """Return an answer without what the model thought aloud; a thought that never ends is all thought."""
    text = _THINKING.sub("", text)
    text = _TAIL.split(text)[-1]  # the mark where it begins is often part of the prompt
    return _HEAD.split(text)[0]


def read_label(text: str, labels: Sequence[str]) -> str | None:
    """Return the one of `labels` that stands in the answer `text`, however often, if no other one does."""
    text = without_thinking(text)
    # A label may be part of another; the longest one that fits a place is the one that stands there.
    pattern = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    found = set(re.findall(pattern, text))
    return found.pop() if len(found) == 1 else None


def without_labels(text: str, labels: Sequence[str]) -> str:
    """Return a candidate's text with every label taken out, in whatever letters it is written."""
    for label in labels:
        spelled = r"[\s\u200b-\u200f\u2060\ufeff]*".join(map(_any_width, label))
        text = re.sub(spelled, "[removed]", text, flags=re.IGNORECASE)
    return text


def _any_width(character: str) -> str:
    """Return a pattern for an ASCII character and for its full-width form."""
    code = ord(character)
    wide = chr(code + 0xFEE0) if "!" <= character <= "~" else character
    assert unicodedata.normalize("NFKC", wide) == character  # noqa: S101  # how those forms are arranged
    return f"[{re.escape(character)}{re.escape(wide)}]"
