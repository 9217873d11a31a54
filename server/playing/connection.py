"""The way to a server: through its whole front, as a client's request goes, with or without a network."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import trio

if TYPE_CHECKING:
    from server.http.asgi_types import App, Message


@attrs.frozen
class Answer:
    """What came back: a status, the body as text, and the cookie that the reply set."""

    status: int
    text: str
    cookie: str | None


class Connection(Protocol):
    """Sends requests to a server."""

    async def post(self, path: str, body: bytes, cookie: str | None) -> Answer:
        """Send one request and wait for the reply to it."""
        ...


def path_of(tool: str) -> str:
    """Return the path that an agent asks when the model names `tool`: its HTTP library tidies it up."""
    name = tool.partition("#")[0].partition("?")[0]
    return posixpath.normpath(f"/{name}").replace("//", "/")


@attrs.frozen
class InProcess:
    """A server in this process: requests are handed to its ASGI application."""

    app: App

    async def post(self, path: str, body: bytes, cookie: str | None) -> Answer:
        """Send one request."""
        exchange = _Exchange(body)
        headers = [(b"host", b"creche"), (b"content-type", b"application/json")]
        headers.append((b"content-length", str(len(body)).encode()))
        if cookie is not None:
            headers.append((b"cookie", cookie.encode("latin-1")))
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.1"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 80),
            "extensions": {},
        }
        await self.app(scope, exchange.receive, exchange.send)
        return exchange.answer()


@attrs.define(eq=False)
class _Exchange:
    """One request and its reply."""

    _body: bytes | None
    _status: int = 0
    _cookie: str | None = None
    _parts: list[bytes] = attrs.field(factory=list[bytes])

    async def receive(self) -> Message:
        if self._body is None:  # the client stays until it is answered
            await trio.sleep_forever()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            cookies = [value for name, value in message["headers"] if name == b"set-cookie"]
            self._cookie = cookies[-1].decode("latin-1").partition(";")[0] if cookies else None
        else:
            self._parts.append(message.get("body", b""))

    def answer(self) -> Answer:
        return Answer(self._status, b"".join(self._parts).decode("utf-8", "replace"), self._cookie)
