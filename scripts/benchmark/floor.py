"""The least that this stack can do: what a rollout costs before Creche has done anything.

Two figures: requests through Hypercorn with nothing behind it, no framework either; and a process tree as
every session has one, of a process in namespaces of its own and one below it, neither of which does
anything, killed and reaped. Sandboxes made of processes, behind this server, cannot be had for less than
both together.

``python -P -m scripts.benchmark.floor`` serves the former until SIGTERM; `scripts.benchmark.trees` makes the
latter.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import trio
from hypercorn.trio import serve

from server.serving import hypercorn_config, open_listener
from server.settings import Settings

if TYPE_CHECKING:
    from server.http.asgi_types import Receive, Scope, Send

_REPLY = b'{"reward":1.0}'
_TREES_SECONDS = 120.0


def http_command() -> list[str]:
    """Return the command that serves the first figure."""
    return [sys.executable, "-P", "-m", __name__]


async def measure_trees() -> float:
    """Return the processor time of making and ending one process tree, in seconds.

    Raises:
        subprocess.CalledProcessError: no tree could be made; its stderr, which is ours too, says why.
    """
    with trio.fail_after(_TREES_SECONDS):
        command = [sys.executable, "-P", "-m", "scripts.benchmark.trees"]
        ended = await trio.run_process(command, capture_stdout=True)
    return float(ended.stdout)


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})
        return
    while (await receive()).get("more_body"):
        pass
    headers: list[Any] = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(_REPLY)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _REPLY})


async def _serve() -> None:
    config = hypercorn_config(Settings())
    ended = trio.Event()
    with trio.open_signal_receiver(signal.SIGTERM) as signals, open_listener("127.0.0.1:0") as listener:
        config.bind = [f"fd://{os.dup(listener.fileno())}"]
        async with trio.open_nursery() as nursery:
            app: Any = _answer
            urls = await nursery.start(partial(serve, app, config, shutdown_trigger=ended.wait, mode="asgi"))
            print(f"ready on {urls[0]}", flush=True)
            await anext(aiter(signals))
            ended.set()


if __name__ == "__main__":
    trio.run(_serve)
