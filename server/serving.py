"""What `creche serve` runs: Hypercorn with settings that fit long calls, and an orderly end.

The first SIGTERM or SIGINT closes the listeners and lets calls and verdicts in progress end, for a grace; then sessions are cut off, which
answers what still waits. A second signal cuts everything off at once.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import trio
from hypercorn.config import Config
from hypercorn.trio import serve as serve_with_hypercorn

from server.house import StartupError, open_house

if TYPE_CHECKING:
    from server.house import House
    from server.settings import Settings

LINGER_SECONDS = 2.0
"""After the grace: how long the last replies may take to reach their clients."""


def hypercorn_config(settings: Settings) -> Config:
    """Return Hypercorn's configuration.

    NeMo Gym's client keeps up to 1,024 connections, each for 15 idle seconds. A server that closes one first makes the client
    send a request again that may have been served.
    """
    config = Config()
    config.bind = [settings.bind]
    config.backlog = 2048
    config.keep_alive_timeout = settings.keep_alive_seconds
    config.keep_alive_max_requests = 2**31
    config.read_timeout = None
    config.graceful_timeout = settings.grace_seconds + LINGER_SECONDS
    config.include_server_header = False
    config.errorlog = logging.getLogger("hypercorn.error")
    config.accesslog = None
    return config


async def serve(settings: Settings, announce: Callable[[str], None]) -> int:
    """Serve until a signal ends it.

    Args:
        settings: all of them count.
        announce: called once, with the line that says that the server is ready.

    Returns:
        The exit status: 0, or 128 and the number of the signal that cut it short.

    Raises:
        StartupError: it cannot start; nothing is left.
    """
    status = 0
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with open_house(settings) as house, trio.open_nursery() as nursery:
            end = trio.Event()
            try:
                urls: list[str] = await nursery.start(_run_hypercorn, house, settings, end)
            except OSError as error:
                msg = f"cannot listen on {settings.bind}: {error.strerror or error}; choose another with --bind HOST:PORT"
                raise StartupError(msg) from error
            announce(
                f"creche: {house.sessions.environment.name} ready on {urls[0]} (tier {settings.tier}, pid {os.getpid()})"
            )
            await anext(signals)
            nursery.start_soon(_drain, house, settings, end, nursery.cancel_scope)
            status = await _second_signal(signals, nursery.cancel_scope)
    return status


async def _run_hypercorn(
    house: House, settings: Settings, end: trio.Event, task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED
) -> None:
    await serve_with_hypercorn(
        house.front,  # type: ignore[arg-type]  # Hypercorn's own, narrower notion of an ASGI application
        hypercorn_config(settings),
        shutdown_trigger=end.wait,
        task_status=task_status,
        mode="asgi",
    )


async def _drain(house: House, settings: Settings, end: trio.Event, everything: trio.CancelScope) -> None:
    end.set()
    await house.sessions.drain(settings.grace_seconds)


async def _second_signal(signals: AsyncIterator[int], everything: trio.CancelScope) -> int:
    async for number in signals:
        everything.cancel()
        return 128 + number
    return 0
