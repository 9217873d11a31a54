"""Connections: Hypercorn speaks HTTP on each, this module sees to it that every one of them ends.

Hypercorn's own way of serving (0.18) leaves five roads open that are closed here:

* A client that hangs up leaves its connection, and with it a descriptor of ours, waiting for the idle
  timeout. Here it ends when its client does.
* Hypercorn's sends are shielded without a deadline, so one client that does not read holds up a shutdown for
  as long as it likes. Here what is open after the grace is closed, upon which such a send fails.
* What is to be sent over HTTP/2 waits for the client to take it, even when that has gone. Here it does not.
* A connection that speaks HTTP/2 and asks for nothing is idle for ever. Here not for longer than others.
* An exception on one connection (HTTP/2 with a path that is not ASCII raises one) ends the server. Here it
  ends the connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Event, RawData, Updated
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from server.logs import get_logger

if TYPE_CHECKING:
    from server.http.asgi_types import App

log = get_logger("connections")


class Connection(TCPServer):
    """One client's connection."""

    _has_ended = False

    def hang_up(self) -> None:
        """Close the socket, whoever reads from it or writes to it just now."""
        self.stream.socket.close()

    async def protocol_send(self, event: Event) -> None:
        """Do what the protocol wants; a connection that has ended is not kept alive for another request."""
        if self._has_ended and isinstance(event, Updated):
            return
        await super().protocol_send(event)
        if isinstance(event, RawData) and not self._has_ended:
            spoken = self.protocol.protocol
            if isinstance(spoken, H2Protocol) and spoken.idle:
                idle = cast("Any", self.idle_task)  # whose methods Hypercorn types in part only
                await idle.restart(self._task_group, self._idle_timeout)

    async def _read_data(self) -> None:
        await super()._read_data()
        self._has_ended = True
        await self.idle_task.stop()
        spoken = self.protocol.protocol
        if isinstance(spoken, H2Protocol):
            for buffer in list(spoken.stream_buffers.values()):
                await buffer.close()  # who waits for the client to take what is in it would wait for ever


async def serve_connections(
    app: App,
    config: Config,
    listener: trio.SocketListener,
    stop: Callable[[], Awaitable[None]],
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
        task_status: started when connections are accepted.
    """
    wrapped = ASGIWrapper(app)  # type: ignore[arg-type]  # its own, narrower notion of an ASGI application
    context = WorkerContext(None)
    live: set[Connection] = set()

    async def handle(stream: Any) -> None:
        connection = Connection(wrapped, config, context, ConnectionState({}), stream)
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
