"""Length-prefixed frames, without I/O: bytes in, whole messages out.

A frame is four bytes, the big-endian length of what follows, and then that many bytes of UTF-8 JSON which
must be one object. Both ends bound the length before they buffer anything, so a hostile header costs its
reader nothing. There is no way to find the next frame after a bad one, on purpose: whoever sees `FrameError`
must end the conversation.

Runs on both sides of the cage, so it imports the standard library only.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable
from typing import Any, cast

HEADER = struct.Struct(">I")

MAX_REQUEST_BYTES = 64 * 1024 * 1024
"""From the server inwards: a file to write may be as large as a session's disk allows."""

MAX_REPLY_BYTES = 16 * 1024 * 1024
"""From the far side outwards: enough for a few figures in base64; the output streams travel apart."""

MAX_DEPTH = 100
"""Objects and lists within one another. A message that can be read here must be writable elsewhere, further
down a stack or in a Python that recurses less deeply: else a guest could choose an error of ours."""

MAX_VALUES = 250_000
"""Values in one message. Sixteen megabytes of ``[],[],…`` would be half a gigabyte once read, and seconds in
which a server reads nothing else."""

_TOO_DEEP = f"a message is nested deeper than {MAX_DEPTH}"
_MAX_DEPTH_ERRORS = (RecursionError, ValueError)


class FrameError(Exception):
    """The bytes are no frame of ours. What was fed is lost; the reader must not be used any more."""


def encode(message: dict[str, Any], max_bytes: int) -> bytes:
    """Return `message` as one frame.

    Raises:
        FrameError: the encoded message is longer than `max_bytes`, nested deeper than `MAX_DEPTH`, or has
            more than `MAX_VALUES`.
        TypeError, ValueError: the message is not JSON.
    """
    try:
        body = json.dumps(message, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")
    except RecursionError:
        raise FrameError(_TOO_DEEP) from None
    if len(body) > max_bytes:
        msg = f"a message of {len(body)} bytes is over the bound of {max_bytes}"
        raise FrameError(msg)
    _check_count(body)
    _check_depth(message, body)
    return HEADER.pack(len(body)) + body


def has_too_many_values(body: bytes) -> bool:
    """Whether a message, as JSON, has more than `MAX_VALUES` values. Reads nothing, so it is told at once."""
    # The second is hardly ever asked.
    return _count_signs(body) > MAX_VALUES and _count_values(body) > MAX_VALUES


def _check_count(body: bytes) -> None:
    if has_too_many_values(body):
        msg = f"a message has more than {MAX_VALUES} values"
        raise FrameError(msg)


def _count_signs(body: bytes) -> int:
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _count_values(body: bytes) -> int:
    """Return how many values a message has; of one that has too many, or is no JSON, some number.

    What stands in strings does not count. They are told by their quotes once no quote is escaped any more,
    and by nothing cleverer: over bytes that are no JSON a regular expression can take quadratic time.
    """
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if unescaped.count(b'"') > 4 * MAX_VALUES:
        return MAX_VALUES + 1
    return _count_signs(b"".join(unescaped.split(b'"')[::2]))


def _check_depth(message: dict[str, Any], body: bytes) -> None:
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:  # nearly always, and far cheaper than looking
        return
    level: list[Any] = [message]
    for _ in range(MAX_DEPTH):
        level = [
            inner for outer in level for inner in _inner(outer) if isinstance(inner, (dict, list, tuple))
        ]
        if not level:
            return
    raise FrameError(_TOO_DEEP)


def _inner(outer: Any) -> Iterable[Any]:
    return cast("dict[str, Any]", outer).values() if isinstance(outer, dict) else outer


def _no_constant(name: str) -> None:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):  # 1e999 reads as infinity, which nobody could write again
        msg = "a number is too large"
        raise ValueError(msg)
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object; of two values for one key, which one counts must not depend on who reads."""
    made = dict(pairs)
    if len(made) != len(pairs):
        msg = "a key comes twice"
        raise ValueError(msg)
    return made


_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_unique)


def decode(body: bytes) -> dict[str, Any]:
    """Return the object that a frame's body holds.

    Raises:
        FrameError: it is not UTF-8, not JSON (NaN, infinities and repeated keys are not), too deep, of too
            many values, or not an object.
    """
    _check_count(body)
    try:
        message: Any = _DECODER.decode(body.decode("utf-8"))
    except _MAX_DEPTH_ERRORS as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        msg = f"a frame's body is not JSON: {type(error).__name__}"
        raise FrameError(msg) from None
    if not isinstance(message, dict):
        msg = "a frame's body is not an object"
        raise FrameError(msg)
    checked = cast("dict[str, Any]", message)
    _check_depth(checked, body)
    return checked


class FrameReader:
    """Collects bytes and gives out messages.

    `feed` bytes as they come, then call `next_message` until it returns None.
    """

    def __init__(self, max_bytes: int) -> None:
        """Refuse frames whose body is longer than `max_bytes`."""
        self._max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Add `data`, of any length, also none."""
        self._buffer += data

    @property
    def is_clean(self) -> bool:
        """Whether the bytes so far end at a frame's end, so that an end of file here is no torn frame."""
        return not self._buffer

    def next_message(self) -> dict[str, Any] | None:
        """Return the next whole message, or None until more bytes are fed.

        Raises:
            FrameError: the header or the body breaks the rules above.
        """
        if len(self._buffer) < HEADER.size:
            return None
        (length,) = HEADER.unpack_from(self._buffer)
        if length > self._max_bytes:
            msg = f"a frame announces {length} bytes, over the bound of {self._max_bytes}"
            raise FrameError(msg)
        end = HEADER.size + length
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[HEADER.size : end])
        del self._buffer[:end]
        return decode(body)
