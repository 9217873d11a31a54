"""The web framework as an ASGI application, with what it leaves open closed.

Quart 0.23, the first for Python 3.13 alone, differs in two things from those before it:

* It keeps all of a body that it refuses as too long, for as long as the client goes on sending. Here what is
  beyond the bound is dropped before it gets there.
* It raises an exception for a client that has hung up by the time its reply is ready, which Hypercorn logs as
  a fault of the application. Here such a client is gone, and nothing more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import attrs
from quart import request
from quart.wrappers import base

from server.http.visit import Visit, visit_of

if TYPE_CHECKING:
    from server.http.asgi_types import App, Message, Receive, Scope, Send

_CLIENT_GONE: type[Exception] | tuple[()] = getattr(base, "ClientDisconnectedError", ())


class Framework:
    """An ASGI application for HTTP requests, around the framework's own."""

    def __init__(self, app: App, body_bytes: int) -> None:
        """Serve `app`, which refuses bodies longer than `body_bytes` by itself."""
        self._app = app
        self._body_bytes = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            await self._app(scope, _Cut(receive, self._body_bytes).receive, send)
        except* _CLIENT_GONE:
            pass


def asked() -> Visit:
    """Return the visit of the request that the framework is answering in this task."""
    return visit_of(cast("Scope", request.scope))


@attrs.define(eq=False)
class _Cut:
    """A request's messages, with nothing in those that come after its body has grown too long."""

    _receive: Receive
    _most_bytes: int
    _length: int = 0

    async def receive(self) -> Message:
        message = await self._receive()
        if self._length > self._most_bytes:
            return {**message, "body": b""}
        self._length += len(message.get("body", b""))
        return message
