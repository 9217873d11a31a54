"""``hypercorn -k trio server.asgi:app``: the server as a plain ASGI application, configured by ``CRECHE_*``.

Sessions are opened around the framework's *lifespan*, not inside it: a child of the framework's nursery that
raises makes Hypercorn serve on without it, and sessions must outlive no such accident unnoticed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import trio

from server import logs
from server.configuration import drop_secrets, load
from server.errors import StartupError
from server.house import House, open_house
from server.settings import SettingsError
from server.worker import SecondWorkerError, claim_listeners

if TYPE_CHECKING:
    from server.http.asgi_types import Message, Receive, Scope, Send
    from server.settings import Settings


_NO_ISOLATION = (
    "without isolation only a loopback address may be listened on, which only creche serve can see to: "
    "start it with creche serve --unsafe-no-isolation"
)


class Application:
    """The ASGI application. Its house is opened when the lifespan begins, and closed before it ends."""

    def __init__(self) -> None:
        """Read nothing yet: importing this module must have no effect."""
        self._house: House | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the lifespan or one request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._house is not None:
            await self._house.front(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        if not trio.lowlevel.in_trio_run():
            await _fail(send, "creche runs on Trio: start it with hypercorn --worker-class trio")
            return
        try:
            settings = load()
            drop_secrets()
            logs.configure(settings)
            _demand_isolation(settings)
            with claim_listeners():
                async with open_house(settings) as self._house:
                    await send({"type": "lifespan.startup.complete"})
                    await receive()
                    await self._house.sessions.drain(settings.grace_seconds)
        except (SettingsError, StartupError, SecondWorkerError) as error:
            await _fail(send, str(error))
            return
        finally:
            self._house = None
        await send({"type": "lifespan.shutdown.complete"})


def _demand_isolation(settings: Settings) -> None:
    if settings.tier == "none":
        raise StartupError(_NO_ISOLATION)


async def _fail(send: Send, sentence: str) -> None:
    # Hypercorn shows the message at the end of a traceback only.
    sys.stderr.write(f"creche: {sentence}\n")
    sys.stderr.flush()
    message: Message = {"type": "lifespan.startup.failed", "message": sentence}
    await send(message)


app = Application()
