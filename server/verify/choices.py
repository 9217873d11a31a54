r"""Multiple choice: which letter a message chose. A message that chose several has chosen none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from server.verify.answers import extract, is_far_longer, normalised

Grading = Literal[
    "strict_single_letter_boxed", "lenient_boxed", "lenient_answer_colon", "lenient_answer_colon_md"
]

_LABELLED = re.compile(r"^[\s(\[*]*(?P<letter>[A-Z])\s*[:).\]\-]")
_LONE = re.compile(r"(?<![A-Za-z0-9])(?P<letter>[A-Za-z])(?![A-Za-z0-9])")
_CAPITAL = re.compile(r"(?<![A-Za-z0-9])(?P<letter>[A-Z])(?![A-Za-z0-9'\u2019])")
_ANSWER = re.compile(r"[*_]{0,2}\banswer[*_]{0,2}[ \t]*[:\uff1a](?P<answer>[^\n]+)", re.IGNORECASE)


def chosen_letter(text: str, options: Mapping[str, str], grading: Grading) -> str | None:
    r"""Return the letter that a message chose among `options`, or None.

    Args:
        text: the message.
        options: letter (a capital) to its text.
        grading: ``strict_single_letter_boxed``: the last box holds one letter and nothing else that is a
            letter, or one with its text behind it (``C: …``, ``C) …``); ``lenient_boxed``: or the text of
            exactly one option; ``lenient_answer_colon``: what follows ``Answer:`` is a letter or an option's
            text; ``lenient_answer_colon_md``: the last such line that names exactly one letter.
    """
    if grading == "lenient_answer_colon_md":
        found = (_named(match["answer"], options) for match in reversed(list(_ANSWER.finditer(text))))
        return next((letter for letter in found if letter is not None), None)
    if grading == "lenient_answer_colon":
        match = _ANSWER.search(text)
        if match is None:
            return None
        answer = match["answer"].strip().strip("*_ ")
        answer = extract(answer, "boxed") or answer
        letter = answer.strip("().*_ ").upper()
        return letter if letter in options else _option(answer, options, whole=True)
    box = extract(text, "boxed")
    if box is None:
        return None
    letter = _boxed(box)
    if letter is not None:
        return letter if letter in options else None
    return _option(box, options, whole=False) if grading == "lenient_boxed" else None


def letter_of(found: str, options: Mapping[str, str]) -> str | None:
    """Return the letter that `found` is, or whose option's text it is: what a row's own pattern captured."""
    found = found.strip()
    if len(found) == 1 and found.isalpha():
        return found.upper()
    return _option(found, options, whole=True)


def _boxed(box: str) -> str | None:
    letters = [character for character in box if character.isalpha()]
    if len(letters) == 1:
        return letters[0] if "A" <= letters[0] <= "Z" else None
    labelled = _LABELLED.match(box)
    return labelled["letter"] if labelled else None


def _named(answer: str, options: Mapping[str, str]) -> str | None:
    """Return the one option's letter in a line; a leading one counts before others in its explanation."""
    answer = (extract(answer, "boxed") or answer).strip().strip("*_` .,;:()[]")
    first = _LONE.match(answer)
    rest = [match["letter"] for match in _CAPITAL.finditer(answer)]
    if first is not None and first["letter"].upper() in options:
        others = [letter for letter in rest if letter in options and letter != first["letter"].upper()]
        is_listed = re.match(r"\s*(?:[/|&,;+]|or\b|and\b|[A-Z]\b)", answer[first.end() :]) is not None
        return None if others and is_listed else first["letter"].upper()
    named = {letter for letter in rest if letter in options}
    return named.pop() if len(named) == 1 else None


def _option(text: str, options: Mapping[str, str], *, whole: bool) -> str | None:
    """Return the letter of the one option whose text this is, or which it contains."""
    if is_far_longer(text, "".join(options.values())):
        return None
    text = normalised(text)
    wanted = {letter: normalised(option) for letter, option in options.items() if option.strip()}
    found = [letter for letter, option in wanted.items() if (option == text if whole else option in text)]
    return found[0] if len(found) == 1 else None
