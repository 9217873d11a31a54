"""The outermost layer of the ASGI application: the cookie and the version on every reply, and who heard it.

It wraps the framework and not the other way round, so that replies which the framework makes by itself (404,
405, 413, 500) carry the session's cookie too: NeMo Gym's simple agent *replaces* its cookies by those of the
last reply, and would go on in a new session after any one reply without.

A reply counts as delivered when the kernel has all of it before its client is known to have gone. Two are
taken for delivered that are not: over HTTP/2, one whose stream alone is reset while it is sent; and, where
Hypercorn serves by itself, one that breaks off, which it tells nobody of.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

import attrs
import trio

from server.http.asgi_types import LINE
from server.http.visit import SCOPE_KEY, Visit
from server.version import HEADER, VERSION

if TYPE_CHECKING:
    from server.http.asgi_types import App, Line, Message, Receive, Scope, Send
    from server.http.cookies import CookieSigner
    from server.sessions.registry import Sessions

_LONG_BODY_SECONDS = 60.0
"""How long a body that is refused may take to end before it is answered."""

SLOW_SECONDS = 600.0
"""How long a client may take to read a reply, or to let it be sent (HTTP/2)."""

_VERSION = (HEADER.lower().encode(), VERSION.encode())

_ROLLOUT_PREFIX = re.compile(r"/ng-rollout/([A-Za-z0-9][A-Za-z0-9._-]*)(/.*)")


class Front:
    """An ASGI application for HTTP requests, around another one."""

    def __init__(
        self,
        app: App,
        sessions: Sessions,
        cookies: CookieSigner,
        *,
        offers_mcp: bool = False,
        slow_seconds: float = SLOW_SECONDS,
    ) -> None:
        """Wrap `app`, which finds a `Visit` in each request's scope. A reply may take `slow_seconds`."""
        self._slow_seconds = slow_seconds
        self._offers_mcp = offers_mcp
        self._app = app
        self._sessions = sessions
        self._cookies = cookies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; hang up on websockets."""
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        visit = self._visit(scope)
        scope = {**scope, SCOPE_KEY: visit}
        prefixed = _ROLLOUT_PREFIX.fullmatch(scope["path"])
        if prefixed is not None:
            visit.rollout, scope["path"] = prefixed.groups()
            scope["raw_path"] = scope["path"].encode()
        line: Line | None = scope.get("state", {}).get(LINE)
        passage = _Passage(receive, send, visit, self._cookies, line, self._slow_seconds)
        try:
            await self._app(scope, passage.receive, passage.send)
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
        return Visit(self._sessions, known_id, known_id or self._cookies.new_id(), name, self._offers_mcp)


@attrs.define(eq=False)
class _Passage:
    """What one request says and hears, on its way through the front."""

    _receive: Receive
    _send: Send
    _visit: Visit
    _cookies: CookieSigner
    _line: Line | None
    _slow_seconds: float
    _body_ended: trio.Event = attrs.field(factory=trio.Event)

    async def receive(self) -> Message:
        """Take a message from the client, and note what it says of the client."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._visit.is_gone = True
        if not message.get("more_body", False):
            self._body_ended.set()
        return message

    async def send(self, message: Message) -> None:
        """Pass a message to the client, with the cookie; note whether the reply reached it."""
        if message["type"] == "http.response.start":
            if message["status"] != HTTPStatus.REQUEST_TIMEOUT and not self._body_ended.is_set():
                # A refusal that needed no body, or whose body is too long. The framework reads the rest of it
                # meanwhile and drops it. Hypercorn would stand still if it could hand that rest to nobody, or
                # would hang up after the reply, just when the client sends its next request.
                with trio.move_on_after(_LONG_BODY_SECONDS):
                    await self._body_ended.wait()
            cookie = (b"set-cookie", self._cookies.set_cookie(self._visit.session_id))
            await self._send({**message, "headers": [*message.get("headers", ()), _VERSION, cookie]})
            return
        # Hypercorn says "disconnect" after a complete reply too; only one that came before counts.
        was_there = not self._visit.is_gone
        # Hypercorn reports the end of the exchange from inside this call, upon which quart-trio cancels it.
        # That must not be: the last thing that Hypercorn does in it is to start the connection's idle timer.
        deadline = trio.current_time() + self._slow_seconds
        with trio.CancelScope(shield=True, deadline=deadline) as scope:
            await self._send(message)
        if scope.cancelled_caught and self._line is not None:
            self._line.hang_up()
        if not message.get("more_body", False):
            has_broken = scope.cancelled_caught or (self._line is not None and self._line.has_broken)
            self._visit.is_delivered = was_there and not has_broken
