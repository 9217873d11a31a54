r"""What a final message answers, and when that is the expected answer.

Only the last message of the assistant counts (`Rollout.final_text`): what a tool printed, or an earlier
message guessed, is no answer. Where a message has several candidates the last one counts, except where a
single one is demanded.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Literal

from server.verify.boxed import last_nested

Extraction = Literal["boxed", "final_answer", "last_line", "full_response"]

_ANSWER = re.compile(r"\banswer[ \t]*[:\uff1a][ \t]*(?P<answer>[^\n]+)", re.IGNORECASE)
_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\{(?P<inner>[^{}]*)\}")
_QUOTES = "\"'`\u201c\u201d\u2018\u2019"
_STOPS = ".!?\u3002 "
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?:\D|$))")
_POWER = re.compile("(?<=[\\d)])[\u00b2\u00b3\u00b9\u2070\u2074-\u2079]+")
_PIECE = re.compile(r".{1,250}(?:\s|\Z)|.{1,250}", re.DOTALL)
_LONGEST_NUMBER = 100
_LONGEST_SPELLING = 1000


def extract(text: str, how: Extraction) -> str | None:
    r"""Return the answer in `text`, or None if it has none.

    Args:
        text: a message.
        how: ``boxed``: the last ``\boxed{}``; ``final_answer``: what follows the last ``Answer:`` on its
            line, or else the last box; ``last_line``: the last one that is not blank; ``full_response``: all.
    """
    if how == "boxed":
        return _bare(last_nested(text))
    if how == "final_answer":
        found = [match["answer"].strip().strip("*_ ") for match in _ANSWER.finditer(text)]
        return _bare(last_nested(found[-1]) or found[-1]) if found else _bare(last_nested(text))
    if how == "last_line":
        return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), None)
    return text.strip() or None


def normalised(text: str) -> str:
    """Return `text` in one spelling: lower case, single blanks, no quotes around it, no full stop."""
    text = " ".join(_compatible(text).casefold().split())
    text = text.rstrip(_STOPS) or text
    start, end = 0, len(text)  # and no copies: of a text of quotes they would take quadratic time
    while end - start > 1 and text[start] in _QUOTES and text[end - 1] in _QUOTES:
        start, end = start + 1, end - 1
        while start < end and text[start] == " ":
            start += 1
        while start < end and text[end - 1] == " ":
            end -= 1
    text = text[start:end]
    return text.rstrip(_STOPS) or text


def _compatible(text: str) -> str:
    """Return `text` with full-width forms and the like made plain. A power stays one.

    By Unicode's own rule, a 5 with a raised 2 would be 52.
    """
    # Piece by piece: putting a long run of accents in order takes quadratic time, with the interpreter's lock
    # held. They end at blanks where there are any, so that no letter loses its accent.
    pieces = (match[0] for match in _PIECE.finditer(_POWER.sub(r"^\g<0>", text)))
    return "".join(unicodedata.normalize("NFKC", piece) for piece in pieces)


def is_far_longer(answer: str, expected: str) -> bool:
    """Whether an answer is so long that it cannot be a spelling of the expected one, to be asked first."""
    return len(answer) > 4 * len(expected) + _LONGEST_SPELLING


def same_text(answer: str, expected: str, *, case_sensitive: bool = False) -> bool:
    """Whether two answers are the same text: normalised, or up to surrounding blanks if case counts."""
    if case_sensitive:
        return answer.strip() == expected.strip()
    return not is_far_longer(answer, expected) and normalised(answer) == normalised(expected)


def number(text: str) -> Fraction | None:
    r"""Return the number that `text` is, exactly, or None if it is none.

    Written as ``1,234.5``, ``-3/4``, ``\frac{3}{4}``, ``12%``, ``$5`` or ``2e3``.
    """
    if len(text) > _LONGEST_SPELLING:
        return None
    text = _compatible(text).strip().strip("$").strip()
    text = re.sub(r"\\[dt]?frac\{(-?\d+)\}\{(\d+)\}", r"\1/\2", text).replace("\u2212", "-").replace("\\", "")
    text = _THOUSANDS.sub("", text)
    percent = text.endswith("%")
    text = text.removesuffix("%").strip().lstrip("$€£ ")
    if len(text) > _LONGEST_NUMBER:  # 1e999999999 would fill the memory
        return None
    try:
        if re.fullmatch(r"-?\d+\s*/\s*\d+", text):
            value = Fraction(text.replace(" ", ""))
        else:
            decimal = Decimal(text)
            if not decimal.is_finite() or abs(decimal.adjusted()) > _LONGEST_NUMBER:
                return None
            value = Fraction(decimal)
    except (ValueError, InvalidOperation, ZeroDivisionError):
        return None
    return value / 100 if percent else value


def same_number(answer: str, expected: str, tolerance: float = 0.0) -> bool:
    """Whether both are numbers no farther apart than `tolerance`, absolutely or relative to the expected."""
    found, wanted = number(answer), number(expected)
    if found is None or wanted is None:
        return False
    return abs(found - wanted) <= Fraction(tolerance) * max(Fraction(1), abs(wanted))


def _bare(answer: str | None) -> str | None:
    r"""Return an answer without ``\text{}`` around it."""
    if answer is None:
        return None
    bare = answer.strip()
    while wrapped := _TEXT.fullmatch(bare):
        bare = str(wrapped["inner"]).strip()
    return bare or None
