"""Connections: Hypercorn speaks HTTP on each, this module sees to it that every one of them ends.

Hypercorn's own way of serving (0.18) leaves six roads open that are closed here:

* A client that hangs up leaves its connection, and with it a descriptor of ours, waiting for the idle
  timeout. Here it ends when its client does.
* Hypercorn's sends are shielded without a deadline, so one client that reads a byte now and then holds its
  reply for as long as it likes, and a shutdown too. Here a send has a deadline, after which the connection is
  closed, as is after the grace what is open then; upon that a send fails.
* Nobody is told of a send that failed. Here whoever answers a request is (`Line.has_broken`), since a reply
  that did not arrive will be asked for again.
* What is to be sent over HTTP/2 waits for the client to take it, even when that has gone. Here it does not.
* A connection that speaks HTTP/2 and asks for nothing is idle for ever. Here not for longer than others.
* An exception on one connection (HTTP/2 with a path that is not ASCII raises one) ends the server. Here it
  ends the connection.

And two that cost more than a short call does: a task for each pause between two requests, which here is a
deadline (`idling`), and three sends for each reply, each with a turn of the event loop, which here are one.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from server.http.asgi_types import LINE
from server.http.idling import Idleness
from server.logs import get_logger

if TYPE_CHECKING:
    from server.http.asgi_types import App

log = get_logger("connections")


class Connection(TCPServer):
    """One client's connection.

    Attributes:
        has_broken: whether something could not be sent to the client, or not in time.
    """

    has_broken = False
    _has_ended = False
    _head = b""

    def __init__(
        self, app: ASGIWrapper, config: Config, context: WorkerContext, stream: Any, slow_seconds: float
    ) -> None:
        """Serve `app` on `stream`; it finds this, a `Line`, in the scope's ``state``."""
        super().__init__(app, config, context, ConnectionState({LINE: self}), stream)
        self._slow_seconds = slow_seconds
        self._idleness = Idleness(config.keep_alive_timeout, context.terminated)
        self.idle_task = self._idleness  # type: ignore[assignment]  # it does what Hypercorn asks of one

    def hang_up(self) -> None:
        """Close the socket, whoever reads from it or writes to it just now."""
        self.stream.socket.close()

    async def protocol_send(self, event: Event) -> None:
        """Do what the protocol wants; a connection that has ended is not kept alive for another request."""
        spoken = self.protocol.protocol
        if not isinstance(event, RawData):
            if not (self._has_ended and isinstance(event, Updated)):
                await super().protocol_send(event)
        elif isinstance(spoken, H2Protocol):
            await self._send_all(event.data)
            if spoken.idle and not self._has_ended:
                await self._idleness.restart(self._task_group, self._idle_timeout)
        else:
            await self._send(event.data)

    async def _send(self, data: bytes) -> None:
        """Send bytes of HTTP/1, but for the head of a reply, which goes along with what follows it."""
        head, self._head = self._head, b""
        if len(data) > _SHORT:
            await self._send_now(head)
        elif head or not _is_head(data):
            data = head + data
        else:
            self._head = data
            return
        await self._send_now(data)

    async def _send_now(self, data: bytes) -> None:
        """Send bytes. What the socket takes at once costs no turn of the event loop: nearly every reply."""
        rest = memoryview(data)
        if rest and not self.send_lock.locked():
            with suppress(OSError):  # a connection that is broken is found to be so below
                rest = rest[os.write(self.stream.socket.fileno(), rest) :]
        if rest:
            await self._send_all(rest)

    async def _send_all(self, data: bytes | memoryview) -> None:
        """Send bytes, or find the connection broken. Being cancelled does not cut them in half."""
        async with self.send_lock:
            deadline = trio.current_time() + self._slow_seconds
            with trio.CancelScope(shield=True, deadline=deadline), suppress(*_BROKEN):
                await self.stream.send_all(data)
                return
        self.has_broken = True
        self.hang_up()
        await self.protocol.handle(Closed())

    async def _idle_timeout(self) -> None:
        """Close it: `Idleness` has waited already."""
        await self._initiate_server_close()

    async def _read_data(self) -> None:
        with suppress(*_BROKEN):
            data = None
            while data != b"":
                data = bytes(await self.stream.receive_some(MAX_RECV))
                await self.protocol.handle(RawData(data))
        await self.protocol.handle(Closed())
        self._has_ended = True
        self._idleness.end()
        spoken = self.protocol.protocol
        if isinstance(spoken, H2Protocol):
            for buffer in list(spoken.stream_buffers.values()):
                await buffer.close()  # who waits for the client to take what is in it would wait for ever


_BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError)

_SHORT = 1 << 16
"""What is longer is not worth copying to save a send."""


def _is_head(data: bytes) -> bool:
    """Whether this is the head of a reply that has a body, and nothing of the body."""
    return data.startswith(b"HTTP/1.1 ") and b"\r\ncontent-length: " in data


async def serve_connections(
    app: App,
    config: Config,
    listener: trio.SocketListener,
    stop: Callable[[], Awaitable[None]],
    slow_seconds: float,
    task_status: trio.TaskStatus[None],
) -> None:
    """Accept connections until `stop` returns, then let requests in progress end.

    Returns once all connections are closed, at the latest after `config.graceful_timeout`. When it is
    cancelled they are closed at once.

    Args:
        app: what answers requests.
        config: for the protocols.
        listener: it is closed when nothing more is accepted.
        stop: returns when nothing more shall be accepted.
        slow_seconds: how long a client may take to read what is sent to it at once: a reply, over HTTP/1.
        task_status: started when connections are accepted.
    """
    wrapped = ASGIWrapper(app)  # type: ignore[arg-type]  # its own, narrower notion of an ASGI application
    context = WorkerContext(None)
    live: set[Connection] = set()

    async def handle(stream: Any) -> None:
        connection = Connection(wrapped, config, context, stream, slow_seconds)
        live.add(connection)
        try:
            await connection.run()
        except* Exception as errors:  # noqa: BLE001  # the nursery is shared: no client may end the others
            log.warning("connection broke", errors=[repr(error) for error in errors.exceptions])
        finally:
            live.discard(connection)

    async with trio.open_nursery() as guarded:
        guarded.start_soon(_hang_up_when_cancelled, live)
        async with trio.open_nursery() as nursery:
            serve = partial(trio.serve_listeners, handle, [listener], handler_nursery=nursery)
            async with trio.open_nursery() as accepting:
                await accepting.start(serve)
                task_status.started()
                await stop()
                accepting.cancel_scope.cancel()
            await context.terminated.set()
            guarded.cancel_scope.deadline = trio.current_time() + config.graceful_timeout
        guarded.cancel_scope.cancel()


async def _hang_up_when_cancelled(live: Collection[Connection]) -> None:
    try:
        await trio.sleep_forever()
    finally:
        for connection in live:
            connection.hang_up()
