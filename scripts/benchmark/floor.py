"""The least that this stack can do: what a rollout costs before Creche has done anything.

Two figures: requests through Hypercorn with nothing behind it, no framework either; and a process tree as
every session has one, of a process in namespaces of its own and one below it, neither of which does
anything, killed and reaped. Sandboxes made of processes, behind this server, cannot be had for less than
both together.

``python -P -m scripts.benchmark.floor http`` serves until SIGTERM; ``… trees`` prints the processor time of a
tree, in seconds. The latter forks, so it is a process of its own: this one has threads.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import trio
from hypercorn.trio import serve

from sandbox.linux import namespaces
from server.serving import hypercorn_config, open_listener
from server.settings import Settings

if TYPE_CHECKING:
    from server.http.asgi_types import Receive, Scope, Send

_REPLY = b'{"reward":1.0}'
_NAMESPACES = (
    namespaces.NEWUSER | namespaces.NEWPID | namespaces.NEWNS | namespaces.NEWUTS | namespaces.NEWIPC
    | namespaces.NEWNET
)  # fmt: skip
_TREES = 500
_TREES_SECONDS = 120.0


def http_command() -> list[str]:
    """Return the command that serves the first figure."""
    return [sys.executable, "-P", "-m", __name__, "http"]


async def measure_trees() -> float:
    """Return the processor time of making and ending one process tree, in seconds.

    Raises:
        subprocess.CalledProcessError: no tree could be made; its stderr, which is ours too, says why.
    """
    with trio.fail_after(_TREES_SECONDS):
        ended = await trio.run_process([sys.executable, "-P", "-m", __name__, "trees"], capture_stdout=True)
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


def _make_tree() -> None:
    """Fork into namespaces, have that fork, and when both are there kill the first, which ends both."""
    ready, says_ready = os.pipe()
    first, pidfd = namespaces.fork_into(_NAMESPACES)
    if first == 0:
        if os.fork() == 0:
            os.write(says_ready, b".")
        signal.pause()
    try:
        os.read(ready, 1)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitpid(first, 0)
    finally:
        for descriptor in (ready, says_ready, pidfd):
            os.close(descriptor)


def _time_trees() -> float:
    gc.freeze()  # as a zygote does: what is collected is written to, and copied by every fork
    before = sum(os.times()[:4])
    for _ in range(_TREES):
        _make_tree()
    return (sum(os.times()[:4]) - before) / _TREES


if __name__ == "__main__":
    if sys.argv[1] == "trees":
        print(_time_trees())
    else:
        trio.run(_serve)
