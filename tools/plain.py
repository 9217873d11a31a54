"""Plain data as JSON, with the types that Python tests compare kept apart.

A verifier that runs a candidate's function elsewhere can only bring back data. Plain JSON would bring back
too little: it makes a tuple a list, ``{1: 2}`` a ``{"1": 2}`` and has no sets, bytes or nan. So values are
written like this::

    None, bool, str                 themselves
    int                             itself below 2**63 in size, else ["i", "-0x..."]
    float                           itself when finite, else ["f", "nan" | "inf" | "-inf"]
    str with surrogates             ["u", hex of UTF-8 with surrogates passed]
    complex                         ["c", real, imaginary], both floats as above
    bytes, bytearray                ["b", base64], ["B", base64]
    list, tuple                     ["l", item...], ["t", item...]
    set, frozenset                  ["S", item...], ["F", item...], in an order that does not depend on hashes
    dict                            ["d", key, value, key, value...], in its own order
    range                           ["r", start, stop, step]

An array is always a tag with its payload, so nothing a value holds can be taken for a tag.

**What is written.** Values of exactly these types. Also of a subclass, when it compares as its base does (a
namedtuple, a defaultdict, an IntEnum), then as the base: that is what ``==`` makes of it. OrderedDict and
Counter are written as dict, numpy's scalars as the Python number. Anything else, and any class with an
``__eq__`` of its own, is refused by name: what it means to be equal to it is then code, and code does not
travel. No method that such a class may have overridden is called.

**What is read.** `decode` and `loads` are strict and total: whatever they are given, they return or raise
`PlainError`. Depth and size are bounded on both sides. (Reading a set or a dict hashes its items, and a
hostile writer can make that slow: read only where a deadline holds.)

Runs on both sides of the cage, so it imports the standard library only.
"""

from __future__ import annotations

import json
from typing import Any

from tools.plain_form import PlainError, TooMuchError
from tools.plain_reader import Decoder
from tools.plain_writer import Encoder

__all__ = ["PlainError", "TooMuchError", "decode", "dumps", "encode", "loads"]


def encode(value: object) -> Any:
    """Return `value` as JSON data.

    Raises:
        PlainError: something in it is no plain data, it contains itself, or it is over the bounds.
    """
    return Encoder().encode(value, 0)


def decode(data: object) -> Any:
    """Return the value that `data` encodes, made of exact builtin types only.

    Raises:
        PlainError: `data` is not what `encode` makes, in whatever way.
    """
    return Decoder().decode(data, 0)


def dumps(value: object) -> str:
    """Return `value` as JSON text, for whoever carries it without looking inside.

    Raises:
        PlainError: as `encode`.
    """
    return json.dumps(encode(value), separators=(",", ":"), allow_nan=False)


def loads(text: object) -> Any:
    """Return the value that a text of `dumps` stands for.

    Raises:
        PlainError: it is no such text, in whatever way.
    """
    if not isinstance(text, str):
        msg = f"a {type(text).__name__}, not a text"
        raise PlainError(msg)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        msg = "not JSON, or too deep"
        raise PlainError(msg) from None
    return decode(data)
