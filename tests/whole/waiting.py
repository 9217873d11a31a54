"""Waiting for what a test depends on, and making it last until the test has seen it."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from scripts.soaking.census import descendants_now
from tests.whole.servers import Server

SLEEP = "sleep 1001"
"""A command for calls that last: it is found from outside (`sleepers`) and ended from there (`wake`)."""

_SECONDS = 60.0


def wait_until(condition: Callable[..., object], seconds: float = _SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def is_refused(server: Server) -> bool:
    """Whether nobody new is let in: the server has begun to stop."""
    parts = urlsplit(server.url)
    try:
        socket.create_connection((parts.hostname, parts.port or 0), _SECONDS).close()
    except ConnectionRefusedError:
        return True
    return False


def in_background(function: Callable[..., Any]) -> tuple[threading.Thread, list[Any]]:
    """Run a request in a thread; what it gave, or the error it met, will be in the list."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(function())
        except httpx.HTTPError as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


def sleepers(server: Server) -> list[int]:
    """Return the processes below the server that execute `SLEEP`."""
    wanted = b"".join(word.encode() + b"\0" for word in SLEEP.split())
    return [pid for pid in descendants_now(server.process.pid) if command(pid) == wanted]


def command(pid: int) -> bytes:
    """Return a process's command line; b"" of one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def wait_for_sleeper(server: Server) -> int:
    """Return the one process that executes `SLEEP`, once there is one: then its call is under way."""
    found: list[int] = []

    def is_there() -> bool:
        found[:] = sleepers(server)
        return len(found) == 1  # until then, those of sessions that are over have not quite ended

    wait_until(is_there)
    return found[0]


def wake(pid: int) -> None:
    """End a `SLEEP`, and nothing else of its session."""
    os.kill(pid, signal.SIGKILL)


def hang_up(
    server: Server,
    cookies: Mapping[str, str],
    path: str,
    body: bytes,
    once: Callable[[], object] | None = None,
) -> None:
    """Send a request and hang up before there can be a reply, then wait until the server has noticed.

    What is sent over another connection right afterwards may be read before the hang-up: it is no retry then.

    Args:
        server: whom to ask.
        cookies: those of the request.
        path: where to post to.
        body: what.
        once: hang up once this holds; by default at once, so that request and hang-up arrive together.
    """
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\nContent-Length: {len(body)}\r\n\r\n"
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port or 0), _SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, once is None)
        connection.sendall(head.encode() + body)
        if once is not None:
            wait_until(once)
        connection.shutdown(socket.SHUT_WR)
        assert b"" == connection.recv(1)
