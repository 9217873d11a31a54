"""What is kept of an output stream: its head and its tail, within a bound, and how much there was in all."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections.abc import Callable

import trio

_CHUNK = 1 << 16

# First bytes of UTF-8 sequences of two, three and four bytes begin here; between the first two lie others.
_CONTINUATION, _TWO, _THREE, _FOUR = 0b1000_0000, 0b1100_0000, 0b1110_0000, 0b1111_0000


class HeadAndTail:
    """Keeps the first and the last bytes of a stream."""

    def __init__(self, keep_bytes: int) -> None:
        """Keep at most `keep_bytes`, half of them from the start."""
        self._head_room = keep_bytes - keep_bytes // 2
        self._tail_room = keep_bytes // 2
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0

    def add(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        self.total += len(data)
        room = self._head_room - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            self._tail += data
            # Trim in large steps: trimming at every chunk would copy the tail each time.
            if len(self._tail) > 2 * self._tail_room + _CHUNK:
                del self._tail[: len(self._tail) - self._tail_room]

    @property
    def is_truncated(self) -> bool:
        """Whether something was left out."""
        return self.total > self._head_room + self._tail_room

    def text(self) -> str:
        """Return what was kept, undecodable bytes replaced; the cut lies between characters and is marked."""
        tail = self._tail[max(0, len(self._tail) - self._tail_room) :]
        if not self.is_truncated:
            return (self._head + tail).decode("utf-8", errors="replace")
        head = _without_torn_end(self._head)
        tail = _without_torn_start(tail)
        left_out = self.total - len(head) - len(tail)
        return (
            head.decode("utf-8", errors="replace")
            + f"\n[... {left_out} bytes left out ...]\n"
            + tail.decode("utf-8", errors="replace")
        )


def _without_torn_end(data: bytearray) -> bytearray:
    """Drop the first bytes of a UTF-8 sequence that the cut would tear."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte >= _TWO:
            length = 2 if byte < _THREE else 3 if byte < _FOUR else 4
            return data[:-back] if length > back else data
        if byte < _CONTINUATION:
            break
    return data


def _without_torn_start(data: bytearray) -> bytearray:
    """Drop the last bytes of a UTF-8 sequence whose first ones were cut off."""
    start = 0
    while start < min(3, len(data)) and _CONTINUATION <= data[start] < _TWO:
        start += 1
    return data[start:]


class OutputPipe:
    """Our end of a pipe that a lane prints into.

    Read only while a call runs: what background processes print between calls waits in the pipe, and when
    that is full they wait too, so an idle session costs no reading.
    """

    def __init__(self, descriptor: int) -> None:
        """Own `descriptor`, the reading end."""
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._kept: HeadAndTail | None = None

    def begin(self, keep_bytes: int) -> None:
        """Start a call: what is read from now on belongs to it."""
        self._kept = HeadAndTail(keep_bytes)

    async def pump(self, flood_bytes: int, on_flood: Callable[[], None]) -> None:
        """Read until the stream ends; call `on_flood` once when the call has printed more than `flood_bytes`.

        Goes on reading after that: whoever is being stopped may need room in the pipe to say so.
        """
        flooded = False
        while self._read(_CHUNK):
            if self.total > flood_bytes and not flooded:
                flooded = True
                on_flood()
            await trio.lowlevel.wait_readable(self._descriptor)

    def collect(self) -> HeadAndTail:
        """Read what lies in the pipe now, no more, and return what the call printed."""
        waiting = struct.unpack("i", fcntl.ioctl(self._descriptor, termios.FIONREAD, bytes(4)))[0]
        while waiting > 0:
            before = self.total
            if not self._read(waiting) or self.total == before:
                break
            waiting -= self.total - before
        kept, self._kept = self._kept, None
        return kept if kept is not None else HeadAndTail(0)

    @property
    def total(self) -> int:
        """How many bytes the present call has printed so far."""
        return 0 if self._kept is None else self._kept.total

    def _read(self, most: int) -> bool:
        """Read once; False at the end of the stream."""
        try:
            data = os.read(self._descriptor, most)
        except BlockingIOError:
            return True
        if self._kept is not None:
            self._kept.add(data)
        return bool(data)

    def close(self) -> None:
        """Close our end."""
        if self._descriptor >= 0:
            trio.lowlevel.notify_closing(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
