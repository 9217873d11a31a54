"""Plain data as JSON, with the types that Python tests compare kept apart.

A verifier that runs a candidate's function elsewhere can only bring back data. Plain JSON would bring back
too
little: it makes a tuple a list, ``{1: 2}`` a ``{"1": 2}`` and has no sets, bytes or nan. So values are
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

import base64
import binascii
import json
import math
import sys
from typing import Any, Callable

MAX_DEPTH = 200
"""Nested containers. JSON's own recursion and the interpreter's default limit leave room for this."""

MAX_ITEMS = 2_000_000
"""Values in one, containers counted too."""

_SMALL_INT = 1 << 63
_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_DICTS_WITH_OWN_EQ = (("collections", "OrderedDict"), ("collections", "Counter"))


class PlainError(ValueError):
    """The value is not plain data, or the encoding is not one. The message says which part and why."""


def encode(value: object) -> Any:
    """Return `value` as JSON data.

    Raises:
        PlainError: something in it is no plain data, it contains itself, or it is over the bounds.
    """
    return _Encoder().encode(value, 0)


def decode(data: object) -> Any:
    """Return the value that `data` encodes, made of exact builtin types only.

    Raises:
        PlainError: `data` is not what `encode` makes, in whatever way.
    """
    return _Decoder().decode(data, 0)


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


def _base_of(kind: type) -> type | None:
    """Return the builtin type as which values of type `kind` are written, or None to refuse them."""
    for base in _WRITERS:
        if base in kind.__mro__:
            if kind is base or kind.__eq__ is base.__eq__:
                return base
            is_known = (kind.__module__, kind.__qualname__) in _DICTS_WITH_OWN_EQ
            return base if base is dict and is_known else None
    return None


def _of_numpy(value: object) -> object:
    """Return numpy's scalar as the Python number it holds; anything else as it is."""
    numpy = sys.modules.get("numpy")
    generic = getattr(numpy, "generic", None)
    if isinstance(generic, type) and isinstance(value, generic) and type(value).__module__ == "numpy":
        return value.item()  # type: ignore[attr-defined]  # numpy is not there when this is checked
    return value


class _Encoder:
    """Writes one value; counts what it has seen."""

    def __init__(self) -> None:
        self._left = MAX_ITEMS
        self._open: set[int] = set()

    def encode(self, value: Any, depth: int) -> Any:
        """Return `value`, found `depth` containers deep, as JSON data."""
        self._left -= 1
        if self._left < 0:
            msg = f"more than {MAX_ITEMS} values"
            raise PlainError(msg)
        base = _base_of(type(value))
        if base is None:
            value = _of_numpy(value)
            base = _base_of(type(value))
        if base is None:
            kind = type(value)
            msg = f"a {kind.__module__}.{kind.__qualname__} is not plain data"
            raise PlainError(msg)
        if base not in _CONTAINERS:
            return _WRITERS[base](value)
        if depth >= MAX_DEPTH:
            msg = f"nested deeper than {MAX_DEPTH}"
            raise PlainError(msg)
        if id(value) in self._open:
            msg = f"a {base.__name__} that contains itself"
            raise PlainError(msg)
        self._open.add(id(value))
        tag = _CONTAINERS[base]
        items = [self.encode(item, depth + 1) for item in _WRITERS[base](value)]
        self._open.discard(id(value))
        if base in (set, frozenset):
            items.sort(key=json.dumps)
        return [tag, *items]


def _write_int(value: int) -> Any:
    # Decimal text is bounded (4,300 digits) and slow for long numbers; hexadecimal is neither.
    number = int.__pos__(value)
    return number if -_SMALL_INT < number < _SMALL_INT else ["i", hex(number)]


def _write_float(value: float) -> Any:
    number = float.__pos__(value)
    return number if math.isfinite(number) else ["f", repr(number)]


def _write_str(value: str) -> Any:
    text = str.__str__(value)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        # JSON's \\u escapes would read two lone surrogates in a row back as one character.
        return ["u", text.encode("utf-8", "surrogatepass").hex()]
    return text


def _write_complex(value: complex) -> Any:
    number = complex.__pos__(value)
    return ["c", _write_float(number.real), _write_float(number.imag)]


def _write_pairs(value: dict[Any, Any]) -> list[Any]:
    return [part for pair in dict.items(value) for part in pair]


_WRITERS: dict[type, Callable[[Any], Any]] = {
    bool: lambda value: value,
    type(None): lambda value: value,
    int: _write_int,
    float: _write_float,
    str: _write_str,
    complex: _write_complex,
    bytes: lambda value: ["b", base64.b64encode(value).decode()],
    bytearray: lambda value: ["B", base64.b64encode(value).decode()],
    range: lambda value: ["r", _write_int(value.start), _write_int(value.stop), _write_int(value.step)],
    list: lambda value: list(list.__iter__(value)),
    tuple: lambda value: list(tuple.__iter__(value)),
    set: lambda value: list(set.__iter__(value)),
    frozenset: lambda value: list(frozenset.__iter__(value)),
    dict: _write_pairs,
}
"""For each type that is written, what makes JSON of it, or lists a container's parts. `bool` is before `int`."""

_CONTAINERS = {list: "l", tuple: "t", set: "S", frozenset: "F", dict: "d"}


class _Decoder:
    """Reads one value; counts what it has seen."""

    def __init__(self) -> None:
        self._left = MAX_ITEMS

    def decode(self, data: Any, depth: int) -> Any:
        """Return what `data`, found `depth` containers deep, encodes."""
        self._left -= 1
        if self._left < 0:
            msg = f"more than {MAX_ITEMS} values"
            raise PlainError(msg)
        kind = type(data)
        if kind is int and not -_SMALL_INT < data < _SMALL_INT:
            msg = "a bare int of more than 63 bits"
            raise PlainError(msg)
        if data is None or kind in (bool, int, str) or (kind is float and math.isfinite(data)):
            return data
        if kind is not list or not data or type(data[0]) is not str:
            msg = f"a {kind.__name__} that is no tagged array"
            raise PlainError(msg)
        tag, *payload = data
        if tag in _BUILDERS:
            return self._container(tag, payload, depth)
        reader = _READERS.get(tag)
        if reader is None:
            msg = "an unknown tag"
            raise PlainError(msg)
        try:
            return reader(*payload)
        except (TypeError, ValueError, binascii.Error, OverflowError):
            msg = f"a malformed {tag!r}"
            raise PlainError(msg) from None

    def _container(self, tag: str, payload: list[Any], depth: int) -> Any:
        if depth >= MAX_DEPTH:
            msg = f"nested deeper than {MAX_DEPTH}"
            raise PlainError(msg)
        items = [self.decode(item, depth + 1) for item in payload]
        if tag == "d" and len(items) % 2:
            msg = "a dict with a key and no value"
            raise PlainError(msg)
        try:
            built = _BUILDERS[tag](items)
        except TypeError:
            msg = f"an unhashable item in a {tag!r}"
            raise PlainError(msg) from None
        if tag in "SFd" and len(built) != (len(items) // 2 if tag == "d" else len(items)):
            msg = f"equal items in a {tag!r}"
            raise PlainError(msg)
        return built


def _text(payload: Any) -> str:
    if type(payload) is not str:
        raise TypeError
    return payload


def _read_int(payload: Any) -> int:
    number = int(_text(payload), 16)
    if hex(number) != payload or -_SMALL_INT < number < _SMALL_INT:
        raise ValueError
    return number


def _read_float(payload: Any) -> float:
    if type(payload) is list:
        tag, name = payload
        if tag != "f":
            raise ValueError
        return _read_special(name)
    if type(payload) is not float or not math.isfinite(payload):
        raise TypeError
    return payload


def _read_special(name: Any) -> float:
    if name not in _FLOATS:
        raise ValueError
    return _FLOATS[name]


def _read_str(payload: Any) -> str:
    return bytes.fromhex(_text(payload)).decode("utf-8", "surrogatepass")


def _read_range(*bounds: Any) -> range:
    start, stop, step = (bound if type(bound) is int else _read_tagged_int(bound) for bound in bounds)
    return range(start, stop, step)


def _read_tagged_int(payload: Any) -> int:
    if type(payload) is not list:
        raise TypeError
    tag, digits = payload
    if tag != "i":
        raise ValueError
    return _read_int(digits)


_READERS: dict[str, Callable[..., Any]] = {
    "i": _read_int,
    "f": _read_special,
    "u": _read_str,
    "c": lambda real, imaginary: complex(_read_float(real), _read_float(imaginary)),
    "b": lambda payload: base64.b64decode(_text(payload), validate=True),
    "B": lambda payload: bytearray(base64.b64decode(_text(payload), validate=True)),
    "r": _read_range,
}

_BUILDERS: dict[str, Callable[[list[Any]], Any]] = {
    "l": lambda items: items,
    "t": tuple,
    "S": set,
    "F": frozenset,
    "d": lambda items: dict(zip(items[::2], items[1::2])),
}
