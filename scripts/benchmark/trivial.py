"""The least that a Quart-Trio application can do with a tool call, on Hypercorn configured as ours is.

``python -P -m scripts.benchmark.trivial`` prints the line with its URL and serves until SIGTERM.
"""

from __future__ import annotations

import json
import os
import signal
from contextlib import closing
from functools import partial
from typing import Any

import trio
from hypercorn.trio import serve
from quart import Response, request
from quart_trio import QuartTrio

from server.serving import hypercorn_config, open_listener
from server.settings import Settings

REPLY = json.dumps(
    {"outcome": "ok", "stdout": "1\n", "stderr": "", "result": None}, separators=(",", ":")
).encode()
"""As long as the real tool's."""

_PATH = "/python"


def create_app() -> QuartTrio:
    """Return an application that parses the body of ``POST /python`` and answers `REPLY`."""
    app = QuartTrio(__name__, static_folder=None, template_folder=None)

    async def call() -> Response:
        arguments: dict[str, Any] = json.loads(await request.get_data())
        arguments["code"]
        return Response(REPLY, content_type="application/json")

    app.add_url_rule(_PATH, "python", call, methods=["POST"], provide_automatic_options=False)
    return app


async def main() -> None:
    """Serve."""
    config = hypercorn_config(Settings())
    ended = trio.Event()
    with (
        trio.open_signal_receiver(signal.SIGTERM) as signals,
        closing(open_listener("127.0.0.1:0")) as listener,
    ):
        config.bind = [f"fd://{os.dup(listener.fileno())}"]  # as our own server does it
        async with trio.open_nursery() as nursery:
            app: Any = create_app()
            run: Any = partial(serve, app, config, shutdown_trigger=ended.wait, mode="asgi")
            urls = await nursery.start(run)
            print(f"ready on {urls[0]}", flush=True)
            await anext(aiter(signals))
            ended.set()


if __name__ == "__main__":
    trio.run(main)
