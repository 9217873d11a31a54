"""A real `creche serve`, as a child process on a free port, for as long as a block lasts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import attrs
import trio

READY_SECONDS = 120.0
"""Python, the server's imports and the cage with whatever the environment preloads, from a cold disk."""

END_SECONDS = 60.0
"""From SIGTERM to the process's end; the server's own grace is shorter."""


class ServerFailedError(Exception):
    """The server did not become ready. Its stderr, which is ours too, says more."""


@attrs.define(eq=False)
class ChildServer:
    """A server that is ready.

    Attributes:
        url: where it listens.
        pid: its process.
        status: its exit status, once the block is left.
    """

    url: str
    pid: int
    status: int | None = None


def creche_serve(environment: str, *arguments: str) -> list[str]:
    """Return the command that serves `environment` on a free port of this machine's own."""
    creche = str(Path(sys.executable).with_name("creche"))
    return [
        creche, "serve", environment,
        "--bind", "127.0.0.1:0", "--set", "log_level=warning", "--set", "log_format=text", *arguments,
    ]  # fmt: skip


@asynccontextmanager
async def open_server(
    command: Sequence[str], *, temporary: Path | None = None, log: Path | None = None
) -> AsyncIterator[ChildServer]:
    """Start a server and wait for the line with its URL; on the way out send SIGTERM and wait for its end.

    Shielded on the way out, with a deadline, after which it is killed. Only the process started here is ever
    signalled.

    Args:
        command: what to start. Its first line on stdout has the URL as one of its words.
        temporary: its TMPDIR, in place of ours.
        log: where its stderr goes, in place of ours.

    Raises:
        ServerFailedError: it did not become ready.
    """
    with ExitStack() as opened:
        process = await trio.lowlevel.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=opened.enter_context(log.open("ab")) if log is not None else None,
            env=os.environ | {"TMPDIR": str(temporary)} if temporary is not None else None,
            start_new_session=True,
        )
    server = ChildServer("", process.pid)
    try:
        server.url = await _await_url(process)
        yield server
    finally:
        with trio.CancelScope(shield=True):
            server.status = await _end(process)


async def _await_url(process: trio.Process) -> str:
    told = b""
    stdout = process.stdout
    if stdout is None:
        msg = "a process that was started with a pipe has none"
        raise AssertionError(msg)
    with trio.move_on_after(READY_SECONDS):
        while b"\n" not in told:
            data = await stdout.receive_some()
            if not data:
                msg = "the server ended before it was ready"
                raise ServerFailedError(msg)
            told += data
        for word in told.decode().split():
            if word.startswith("http://"):
                return word
        msg = f"the server's first line names no URL: {told!r}"
        raise ServerFailedError(msg)
    msg = f"the server was not ready within {READY_SECONDS:.0f} s"
    raise ServerFailedError(msg)


async def _end(process: trio.Process) -> int:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    with trio.move_on_after(END_SECONDS):
        return await process.wait()
    process.kill()
    return await process.wait()  # a killed process ends; the kernel sees to that
