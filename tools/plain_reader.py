"""Reads the plain-data encoding, strictly: `tools.plain` says what it is."""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any, Callable

from tools.plain_form import SMALL_INT, Budget, PlainError, type_of

_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class Decoder:
    """Reads one value."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._budget = Budget()
        self._tells_nans_apart = False

    def decode(self, data: Any, depth: int) -> Any:
        """Return what `data`, found `depth` containers deep, encodes.

        Raises:
            PlainError: no writer makes such data.
        """
        self._budget.count()
        kind = type_of(data)
        if kind is int and not -SMALL_INT < data < SMALL_INT:
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
            value = reader(*payload)
        except (TypeError, ValueError, binascii.Error, OverflowError):
            msg = f"a malformed {tag!r}"
            raise PlainError(msg) from None
        return float(*payload) if tag == "f" and self._tells_nans_apart else value

    def _container(self, tag: str, payload: list[Any], depth: int) -> Any:
        self._budget.check_depth(depth)
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
            # A nan is read as `math.nan`, which containers take to be equal to itself, as tests that name it
            # expect. Several in one set were several objects.
            if not self._tells_nans_apart:
                self._tells_nans_apart = True
                try:
                    return self._container(tag, payload, depth)
                finally:
                    self._tells_nans_apart = False
            msg = f"equal items in a {tag!r}"
            raise PlainError(msg)
        return built


def _text(payload: Any) -> str:
    if type(payload) is not str:
        raise TypeError
    return payload


def _read_int(payload: Any) -> int:
    number = int(_text(payload), 16)
    if hex(number) != payload or -SMALL_INT < number < SMALL_INT:
        raise ValueError
    return number


def _read_float(payload: Any) -> float:
    kind = type_of(payload)
    if kind is list:
        return _read_special(_untagged("f", payload))
    if kind is not float or not math.isfinite(payload):
        raise TypeError
    return float(payload)


def _read_special(name: Any) -> float:
    if name not in _FLOATS:
        raise ValueError
    return _FLOATS[name]


def _read_str(payload: Any) -> str:
    return bytes.fromhex(_text(payload)).decode("utf-8", "surrogatepass")


def _read_bytes(payload: Any) -> bytes:
    return base64.b64decode(_text(payload), validate=True)


def _read_bytearray(payload: Any) -> bytearray:
    return bytearray(_read_bytes(payload))


def _read_complex(real: Any, imaginary: Any) -> complex:
    return complex(_read_float(real), _read_float(imaginary))


def _read_range(start: Any, stop: Any, step: Any) -> range:
    return range(*map(_read_bound, (start, stop, step)))


def _read_bound(bound: Any) -> int:
    return bound if type_of(bound) is int else _read_int(_untagged("i", bound))


def _untagged(wanted: str, payload: Any) -> Any:
    tag, inner = payload
    if tag != wanted:
        raise ValueError
    return inner


_READERS: dict[str, Callable[..., Any]] = {
    "i": _read_int,
    "f": _read_special,
    "u": _read_str,
    "c": _read_complex,
    "b": _read_bytes,
    "B": _read_bytearray,
    "r": _read_range,
}

_BUILDERS: dict[str, Callable[[list[Any]], Any]] = {
    "l": lambda items: items,
    "t": tuple,
    "S": set,
    "F": frozenset,
    "d": lambda items: dict(zip(items[::2], items[1::2])),
}
