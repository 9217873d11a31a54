"""The outermost layer of the ASGI application: the cookie on every reply, and who heard it.

It wraps the framework and not the other way round, so that replies which the framework makes by itself (404,
405, 413, 500) carry the session's cookie too: NeMo Gym's simple agent *replaces* its cookies by those of the
last reply, and would go on in a new session after any one reply without.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from server.visit import SCOPE_KEY, Visit

if TYPE_CHECKING:
    from server.asgi_types import App, Message, Receive, Scope, Send
    from server.cookies import CookieSigner
    from server.sessions import Sessions

_ROLLOUT_PREFIX = re.compile(r"/ng-rollout/([A-Za-z0-9][A-Za-z0-9._-]*)(/.*)")


async def _agree(receive: Receive, send: Send) -> None:
    for stage in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{stage}.complete"})


class Front:
    """An ASGI application for HTTP requests, around another one."""

    def __init__(self, app: App, sessions: Sessions, cookies: CookieSigner) -> None:
        """Wrap `app`, which finds a `Visit` in each request's scope."""
        self._app = app
        self._sessions = sessions
        self._cookies = cookies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; agree to the lifespan, which is another's affair; hang up on websockets."""
        if scope["type"] == "lifespan":
            await _agree(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        visit = self._visit(scope)
        scope = {**scope, SCOPE_KEY: visit}
        prefixed = _ROLLOUT_PREFIX.fullmatch(scope["path"])
        if prefixed is not None:
            visit.rollout, scope["path"] = prefixed.groups()
            scope["raw_path"] = scope["path"].encode()

        async def receive_and_note() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                visit.is_gone = True
            return message

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                cookie = (b"set-cookie", self._cookies.set_cookie(visit.session_id))
                await send({**message, "headers": [*message.get("headers", ()), cookie]})
                return
            # The server says "disconnect" after a complete reply too; only one that came before counts.
            was_there = not visit.is_gone
            await send(message)
            if not message.get("more_body", False):
                visit.is_delivered = was_there

        try:
            await self._app(scope, receive_and_note, send_with_cookie)
        finally:
            visit.end()

    def _visit(self, scope: Scope) -> Visit:
        name: str | None = None
        cookies: list[bytes] = []
        for header, value in scope["headers"]:
            if header == b"cookie":
                cookies.append(value)
            elif header == b"idempotency-key":
                name = value.decode("latin-1")
        known_id = self._cookies.read(cookies)
        return Visit(self._sessions, known_id, known_id or self._cookies.new_id(), name)
