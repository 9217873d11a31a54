"""Writes values in the plain-data encoding. `tools.plain` says what that is."""

from __future__ import annotations

import base64
import json
import math
import sys
from typing import Any, Callable, cast

from tools.plain_form import SMALL_INT, Budget, PlainError, type_of

_DICTS_WITH_OWN_EQ = (("collections", "OrderedDict"), ("collections", "Counter"))


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
    if isinstance(generic, type) and isinstance(value, generic) and type_of(value).__module__ == "numpy":
        return value.item()  # type: ignore[attr-defined]  # numpy is not there when this is checked
    return value


class Encoder:
    """Writes one value."""

    def __init__(self) -> None:
        """Begin with nothing written."""
        self._budget = Budget()
        self._open: set[int] = set()

    def encode(self, value: Any, depth: int) -> Any:
        """Return `value`, found `depth` containers deep, as JSON data.

        Raises:
            PlainError: it cannot be written.
        """
        self._budget.count()
        base = _base_of(type_of(value))
        if base is None:
            value = _of_numpy(value)
            base = _base_of(type_of(value))
        if base is None:
            kind = type_of(value)
            msg = f"a {kind.__module__}.{kind.__qualname__} is not plain data"
            raise PlainError(msg)
        if base not in _CONTAINERS:
            return _WRITERS[base](value)
        self._budget.check_depth(depth)
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
    return number if -SMALL_INT < number < SMALL_INT else ["i", hex(number)]


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


def _write_range(value: range) -> Any:
    return ["r", _write_int(value.start), _write_int(value.stop), _write_int(value.step)]


def _write_bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _parts_of_dict(value: Any) -> list[Any]:
    return [part for pair in _DICT_ITEMS(value) for part in pair]


_DICT_ITEMS: Callable[[Any], Any] = cast("Any", dict).items
_ITERATORS: dict[type, Callable[[Any], Any]] = {
    kind: cast("Any", kind).__iter__ for kind in (list, tuple, set, frozenset)
}

_WRITERS: dict[type, Callable[[Any], Any]] = {
    bool: bool,
    type(None): lambda value: value,
    int: _write_int,
    float: _write_float,
    str: _write_str,
    complex: _write_complex,
    bytes: lambda value: ["b", _write_bytes(value)],
    bytearray: lambda value: ["B", _write_bytes(value)],
    range: _write_range,
    **_ITERATORS,
    dict: _parts_of_dict,
}
"""For each type, what makes JSON of it, or lists a container's parts. `bool` comes before its base `int`."""

_CONTAINERS = {list: "l", tuple: "t", set: "S", frozenset: "F", dict: "d"}
