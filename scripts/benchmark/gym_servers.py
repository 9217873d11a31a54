"""NeMo Gym's own resources servers, in NeMo Gym's own environment, without its orchestration."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from scripts.child_server import END_SECONDS, READY_SECONDS, ChildServer, ServerFailedError
from scripts.nemo_gym_home import Home


@asynccontextmanager
async def open_nemo_gym(home: Home, name: str) -> AsyncIterator[ChildServer]:
    """Run the resources server of that name while the block lasts.

    Raises:
        ServerFailedError: it did not become ready.
    """
    port = _free_port()
    entry = {"entrypoint": "app.py", "domain": "agent", "host": "127.0.0.1", "port": port}
    config = {
        "head_server": {"host": "127.0.0.1", "port": _free_port()},
        "dry_run": False,
        "observability_enabled": False,
        "uvicorn_logging_show_200_ok": False,
        "own": {"resources_servers": {name: entry}},
    }
    app = home.packages / "resources_servers" / name / "app.py"
    process = await trio.lowlevel.open_process(
        [home.python, str(app)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"NEMO_GYM_CONFIG_DICT": json.dumps(config), "NEMO_GYM_CONFIG_PATH": "own"},
        start_new_session=True,
    )
    try:
        with trio.move_on_after(READY_SECONDS) as patience:
            await _await_port(process, port)
        if patience.cancelled_caught:
            msg = f"NeMo Gym's {name} was not ready within {READY_SECONDS:.0f} s"
            raise ServerFailedError(msg)
        yield ChildServer(f"http://127.0.0.1:{port}", process.pid)
    finally:
        with trio.CancelScope(shield=True):
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            with trio.move_on_after(END_SECONDS):
                await process.wait()
            process.kill()
            await process.wait()


async def _await_port(process: trio.Process, port: int) -> None:
    while process.poll() is None:
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
        except OSError:
            await trio.sleep(0.1)  # nothing tells when another process begins to listen
        else:
            await stream.aclose()
            return
    msg = "NeMo Gym's server ended before it was ready"
    raise ServerFailedError(msg)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
