"""When a program's whole output counts as the expected one.

A comparator takes what was expected and what was printed and returns None when they agree, else why they do
not. All of them look at the whole of both, so that a correct prefix, or correct lines among others, is never
enough.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation

Comparator = Callable[[str, str], str | None]

_SHOWN = 80


def exactly(expected: str, printed: str) -> str | None:
    """Agree when both are the same text, character by character."""
    return None if expected == printed else "Wrong answer: not the same text"


def by_lines(expected: str, printed: str) -> str | None:
    """Agree as LiveCodeBench's grader does.

    Blank space around the whole text and around each line does not count; there must be as many lines. A line
    that differs in its text may still agree as numbers: then all of its tokens must be numbers, and equal
    as decimals, one by one (``1.0`` is ``1``; no tolerance).
    """
    expected_lines = [line.strip() for line in expected.strip().split("\n")]
    printed_lines = [line.strip() for line in printed.strip().split("\n")]
    if len(expected_lines) != len(printed_lines):
        return "Wrong answer: mismatched output length"
    for number, (wanted, found) in enumerate(zip(expected_lines, printed_lines, strict=True)):
        if wanted != found and not _same_numbers(wanted, found):
            return f"Wrong answer at line {number}: {_shown(found)} != {_shown(wanted)}"
    return None


def by_tokens(tolerance: float = 0.0) -> Comparator:
    """Return a comparator that splits both texts at blank space and compares token by token.

    Args:
        tolerance: how far apart two numbers may be, absolutely or relative to the expected one, if the
            expected one is written with a point or an exponent. 0 demands the same text.
    """
    margin = Decimal(repr(tolerance))

    def compare(expected: str, printed: str) -> str | None:
        expected_tokens, printed_tokens = expected.split(), printed.split()
        if len(expected_tokens) != len(printed_tokens):
            return "Wrong answer: mismatched number of tokens"
        for number, (wanted, found) in enumerate(zip(expected_tokens, printed_tokens, strict=True)):
            if wanted != found and not (margin and _are_close(wanted, found, margin)):
                return f"Wrong answer at token {number}: {_shown(found)} != {_shown(wanted)}"
        return None

    return compare


def _same_numbers(wanted: str, found: str) -> bool:
    wanted_numbers, found_numbers = _numbers(wanted), _numbers(found)
    return wanted_numbers is not None and wanted_numbers == found_numbers


def _numbers(line: str) -> list[Decimal] | None:
    try:
        numbers = [Decimal(token) for token in line.split()]
    except InvalidOperation:
        return None
    # A signalling NaN would raise when it is compared.
    return None if any(number.is_snan() for number in numbers) else numbers


def _are_close(wanted: str, found: str, margin: Decimal) -> bool:
    if not any(letter in wanted.lower() for letter in ".e"):
        return False
    pair = _numbers(f"{wanted} {found}")
    if pair is None or not all(number.is_finite() for number in pair):
        return False
    try:
        return abs(pair[0] - pair[1]) <= margin * max(Decimal(1), abs(pair[0]))
    except ArithmeticError:  # exponents beyond what decimals can hold
        return False


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
