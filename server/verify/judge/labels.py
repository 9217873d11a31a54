"""Which label an answer gives. One that gives two different ones has given none."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_MARK = re.compile(r"<(?P<slash>/?)(?P<name>think|thinking|reasoning)>", re.IGNORECASE)


def without_thinking(text: str) -> str:
    """Return an answer without what the model thought aloud; a thought that never ends is all thought."""
    # In one pass: a regular expression for pairs takes quadratic time over thoughts that never end.
    marks = [(match["name"].lower(), bool(match["slash"]), *match.span()) for match in _MARK.finditer(text)]
    last_end = {name: start for name, is_end, start, _ in marks if is_end}
    kept: list[str] = []
    place, thought, is_endless = 0, "", False
    for name, is_end, start, end in marks:
        if thought:
            if is_end and name == thought:
                thought, place = "", end
        elif is_end:  # the mark where it begins is often part of the prompt
            kept, place, is_endless = [], end, False
        elif not is_endless:
            kept.append(text[place:start])
            is_endless = last_end.get(name, -1) < start
            thought = "" if is_endless else name
        elif last_end.get(name, -1) > start:
            thought = name
    return "".join(kept) + ("" if is_endless else text[place:])


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
