"""Constants as source: values that can be written down exactly, the same text each time."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any


class NotLiteral(Exception):
    """The value, or something in it, cannot be written down."""


def literal(value: Any) -> str:
    """Return an expression that makes a value equal to `value`, and that needs nothing but builtins.

    Takes None, ``...``, bool, int, float, complex, str, bytes, compiled regular expressions, and lists,
    tuples, dicts, sets and frozensets of these; of exactly these types, since a subclass may mean more. Sets
    are written in the order of their elements' texts, because their own differs from run to run.

    Raises:
        NotLiteral: it is something else, or holds something else, or holds itself.
    """
    try:
        return _literal(value)
    except RecursionError:
        raise NotLiteral from None


def _literal(value: Any) -> str:
    # Not a subclass's, whose `__class__` is another; one that lies about it is no constant anybody wrote.
    writer = _WRITERS.get(value.__class__)
    if writer is None:
        raise NotLiteral
    return writer(value)


def _float(value: float) -> str:
    return repr(value) if math.isfinite(value) else f"float({str(value)!r})"


def _pattern(value: re.Pattern[Any]) -> str:
    return f"__import__('re').compile({value.pattern!r}, {value.flags})"


def _dict(value: dict[Any, Any]) -> str:
    return "{" + ", ".join(f"{_literal(key)}: {_literal(each)}" for key, each in value.items()) + "}"


def _tuple(value: tuple[Any, ...]) -> str:
    return "(" + "".join(f"{_literal(each)}, " for each in value) + ")"


def _set(value: frozenset[Any] | set[Any]) -> str:
    return f"{type(value).__name__}([{', '.join(sorted(map(_literal, value)))}])"


_WRITERS: dict[type, Callable[[Any], str]] = {
    **dict.fromkeys((type(None), type(...), bool, int, str, bytes), repr),
    float: _float,
    complex: lambda value: f"complex({_float(value.real)}, {_float(value.imag)})",
    re.Pattern: _pattern,
    list: lambda value: f"[{', '.join(map(_literal, value))}]",
    dict: _dict,
    tuple: _tuple,
    set: _set,
    frozenset: _set,
}
