"""Start a server as its users do, and be sure that it is gone afterwards."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import attrs
import httpx

BIN = Path(sys.executable).parent
# How long a start and an end may take before they count as hung. On an idle machine it is a second.
_READY_SECONDS = 60.0
_GONE_SECONDS = 60.0


@attrs.define(eq=False)
class Server:
    """A running server: where it is, and its process."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def client(self) -> httpx.Client:
        """Return a client with a cookie jar and no other state."""
        return httpx.Client(base_url=self.url, timeout=60)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(_GONE_SECONDS)

    def cut_off(self) -> None:
        """Kill it as the kernel would, and reap it."""
        self.process.kill()
        self.process.wait(_GONE_SECONDS)


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """Yield a port that nobody gets by chance while the block lasts, and that can be listened on in it.

    Whoever asks for any port gets another one, and a connection to it is refused until somebody listens.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # servers set it, too: so both may bind
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@contextlib.contextmanager
def started(
    command: list[str], log: Path, stderr: IO[str] | None = None, /, **environ: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command whose output goes to `log`, but for `stderr`; kill it at the end if it still runs."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("CRECHE_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=stderr or output,
            env=inherited | environ,
            cwd=log.parent,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GONE_SECONDS)
            process.kill()
        process.wait(_GONE_SECONDS)


@contextlib.contextmanager
def creche(folder: Path, *arguments: str, stderr: IO[str] | None = None, **environ: str) -> Iterator[Server]:
    """Run ``creche serve`` on a free port; its log goes to `stderr` where that is given."""
    log = folder / "server.log"
    command = [str(BIN / "creche"), "serve", "--bind", "127.0.0.1:0", *arguments]
    with started(command, log, stderr, **environ) as process:
        yield Server(wait_for_line(process, log, r"creche: \w+ ready on (http://\S+) "), process, log)


@contextlib.contextmanager
def hypercorn(folder: Path, *arguments: str, **environ: str) -> Iterator[Server]:
    """Run the plain ``hypercorn`` command."""
    log = folder / "server.log"
    command = [str(BIN / "hypercorn"), "-k", "trio", "-b", "127.0.0.1:0", *arguments, "server.asgi:app"]
    with started(command, log, **environ) as process:
        yield Server(wait_for_line(process, log, r"Running on (http://\S+) "), process, log)


def wait_for_line(process: subprocess.Popen[bytes], log: Path, pattern: str) -> str:
    """Return the group that `pattern` finds in the log, once it is there."""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        found = re.search(pattern, log.read_text())
        if found is not None:
            return found.group(1)
        if process.poll() is not None:
            break
        time.sleep(0.02)
    msg = f"no such line: {log.read_text()}"
    raise AssertionError(msg)
