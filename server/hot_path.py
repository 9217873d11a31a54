"""Tool calls, answered without the web framework.

They are nearly all of a rollout's requests, and the framework takes longer over one than a short call in a
sandbox does. Only what is plainly a call of a tool that exists, with a body of a stated and allowed length,
comes this way; whatever is odd in any respect goes to the framework, which answers tool calls by the same
`routes.call_tool`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import trio

from server import routes
from server.incidents import reply_to
from server.visit import SCOPE_KEY

if TYPE_CHECKING:
    from server.asgi_types import App, Receive, Scope, Send
    from server.visit import Visit
    from server.wire import Reply


class HotPath:
    """An ASGI application for HTTP requests, around another one that gets all but plain tool calls."""

    def __init__(self, app: App, tools: Collection[str], body_bytes: int) -> None:
        """Answer calls of `tools` whose body is at most `body_bytes` long."""
        self._app = app
        self._paths = {f"/{name}": name for name in tools}
        self._body_bytes = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        name = self._paths.get(scope["path"])
        if name is None or scope["method"] != "POST" or not self._is_plain(scope):
            await self._app(scope, receive, send)
            return
        body = await _read(receive)
        if body is None:
            return
        reply: Reply | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_wait_for_hang_up, receive, nursery.cancel_scope)
            reply = await _answer(scope[SCOPE_KEY], name, body)
            nursery.cancel_scope.cancel()
        if reply is not None:
            await _send(reply, send)

    def _is_plain(self, scope: Scope) -> bool:
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        # Short enough to be a number that is cheap to read, whatever the bound is.
        return length.isdigit() and len(length) < 20 and int(length) <= self._body_bytes


async def _read(receive: Receive) -> bytes | None:
    """Return the whole body, or None when the client hung up before its end."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _wait_for_hang_up(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _answer(visit: Visit, name: str, body: bytes) -> Reply:
    try:
        return await routes.call_tool(visit, name, body)
    except Exception as error:
        return reply_to(error, tool=name, session=visit.session_id)


async def _send(reply: Reply, send: Send) -> None:
    headers: list[Any] = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(reply.body)).encode()),
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
