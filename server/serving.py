"""What `creche serve` runs: Hypercorn with settings that fit long calls, and an orderly end.

The first SIGTERM or SIGINT closes the listeners and lets calls and verdicts in progress end, for a grace;
then sessions are cut off, which answers what still waits. A second signal cuts everything off at once.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from typing import TYPE_CHECKING

import attrs
import trio
from hypercorn.config import Config

from sandbox.bare import bare_exceptions
from server.errors import StartupError
from server.house import open_house
from server.http.connections import serve_connections
from server.http.front import SLOW_SECONDS

if TYPE_CHECKING:
    from server.house import House
    from server.sessions.registry import Sessions
    from server.settings import Settings

LINGER_SECONDS = 2.0
"""After the grace: how long the last replies may take to reach their clients."""


BACKLOG = 2048
"""Connections that may wait to be accepted: an agent opens a thousand at once."""

UNREAD_SECONDS = 600
"""How long a client may read nothing of a reply, or be out of reach, before the kernel drops its
connection."""


def hypercorn_config(settings: Settings) -> Config:
    """Return Hypercorn's configuration.

    NeMo Gym's client keeps up to 1,024 connections, each for 15 idle seconds. A server that closes one first
    makes the client send a request again that may have been served.
    """
    config = Config()
    config.backlog = BACKLOG
    config.keep_alive_timeout = settings.keep_alive_seconds
    config.keep_alive_max_requests = 2**31
    config.read_timeout = None
    config.graceful_timeout = settings.grace_seconds + LINGER_SECONDS
    config.include_server_header = False
    config.errorlog = logging.getLogger("hypercorn.error")
    config.accesslog = None
    return config


def open_listener(bind: str) -> socket.socket:
    """Return a listening socket for ``HOST:PORT``, which every connection inherits its options from.

    Raises:
        StartupError: the address is none, or cannot be listened on.
    """
    host, colon, port = bind.rpartition(":")
    if not colon or not port.isdecimal():
        msg = f"bind is {bind!r}: write it as HOST:PORT, such as 127.0.0.1:8000, or [::1]:0 for any free port"
        raise StartupError(msg)
    host = host.removeprefix("[").removesuffix("]")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)
        listener.bind((host, int(port)))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else "there is no such port"
        msg = f"cannot listen on {bind}: {reason}; choose another address with --bind HOST:PORT"
        raise StartupError(msg) from error
    return listener


async def serve(settings: Settings, announce: Callable[[str], None]) -> int:
    """Serve until a signal ends it.

    Args:
        settings: all of them count.
        announce: called once, with the line that says that the server is ready.

    Returns:
        The exit status: 0, or 128 and the number of the second signal, which cut it short.

    Raises:
        StartupError: it cannot start; nothing is left.
    """
    with (
        trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals,
        closing(open_listener(settings.bind)) as listener,
    ):
        host, port = listener.getsockname()[:2]
        async with open_house(settings) as house:
            ending = Ending(house.sessions, settings.grace_seconds)
            with bare_exceptions():
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(ending.follow, signals)
                    await nursery.start(_serve_http, house, settings, listener, ending)
                    announce(_ready_line(house, settings, host, port))
                    await ending.over.wait()
                    nursery.cancel_scope.cancel()
        return ending.status


def _ready_line(house: House, settings: Settings, host: str, port: int) -> str:
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return (
        f"creche: {house.sessions.environment.name} ready on {url} (tier {settings.tier}, pid {os.getpid()})"
    )


@attrs.define(eq=False)
class Ending:
    """How a server stops: wished for, drained, over.

    Attributes:
        wished: set by the first signal; nothing new is accepted from then on.
        over: set when the server may go, or must.
        status: its exit status.
    """

    _sessions: Sessions
    _grace_seconds: float
    wished: trio.Event = attrs.field(factory=trio.Event)
    over: trio.Event = attrs.field(factory=trio.Event)
    status: int = 0

    async def follow(self, signals: AsyncIterator[int]) -> None:
        """Do what the signals say."""
        async with trio.open_nursery() as nursery:
            async for number in signals:
                if self.wished.is_set():
                    self.status = 128 + number
                    self.over.set()
                else:
                    self.wished.set()
                    nursery.start_soon(self._sessions.drain, self._grace_seconds)


async def _serve_http(
    house: House,
    settings: Settings,
    listener: socket.socket,
    ending: Ending,
    task_status: trio.TaskStatus[None],
) -> None:
    listening = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
    async with trio.open_nursery() as nursery:
        await nursery.start(
            serve_connections,
            house.front,
            hypercorn_config(settings),
            listening,
            ending.wished.wait,
            SLOW_SECONDS,
        )
        task_status.started()
    ending.over.set()
