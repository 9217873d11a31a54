"""The line to one session's init: orders go in, reports come out, and our hanging up ends the session."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Any

import attrs
import trio

from sandbox import packets


@attrs.frozen
class Report:
    """One message from a zygote or an init, with the descriptors that came along (the holder's to close)."""

    message: dict[str, Any]
    descriptors: list[int]

    def discard(self) -> None:
        """Close the descriptors."""
        for descriptor in self.descriptors:
            os.close(descriptor)


@attrs.define(eq=False)
class Line:
    """Our end of a control socket. Reports are read on demand; one that nobody waits for yet is kept."""

    _socket: socket.socket
    _kept: list[Report] = attrs.field(factory=list[Report])
    _reading: trio.Lock = attrs.field(factory=trio.Lock)

    def __attrs_post_init__(self) -> None:
        """Make the socket fit for waiting on."""
        self._socket.setblocking(False)  # noqa: FBT003 - the method's own signature

    def send(self, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
        """Send an order; a far side that is gone is noticed when waiting for its report.

        Raises:
            OSError: nothing was sent. Too many descriptors are in flight, the kernel has no memory, or the
                socket's queue is full. Orders are few and small, so for the last the far side must have
                been stopped, which nothing inside can do.
        """
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            packets.send(self._socket, message, descriptors)

    async def receive(self) -> Report | None:
        """Return the next report, None at the end of the line. Cancelling loses nothing."""
        while self._socket.fileno() >= 0:  # we may have hung up after it became readable
            try:
                packet = packets.receive(self._socket)
            except BlockingIOError:
                try:
                    await trio.lowlevel.wait_readable(self._socket)
                except trio.ClosedResourceError:  # we hung up while waiting
                    return None
            except ConnectionResetError:
                return None
            else:
                return None if packet is None else Report(*packet)
        return None

    def kept(self, operation: str, lane: str | None) -> Report | None:
        """Return and forget a report that came already, without waiting."""
        for index, report in enumerate(self._kept):
            if report.message["op"] == operation and report.message.get("lane") == lane:
                return self._kept.pop(index)
        return None

    async def wait_for(self, operations: tuple[str, ...], lane: str | None) -> Report | None:
        """Return the next report that is one of `operations` about `lane`; None when the line ends first."""
        while True:
            async with self._reading:
                for operation in operations:
                    report = self.kept(operation, lane)
                    if report is not None:
                        return report
                report = await self.receive()
                if report is None:
                    return None
                self._kept.append(report)

    def close(self) -> None:
        """Hang up: init exits, and the kernel kills the session."""
        for report in self._kept:
            report.discard()
        self._kept.clear()
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
