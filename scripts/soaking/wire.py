"""HTTP/1.1 without more than is needed: a client whose own work hides little of the server's.

Where thousands of sessions are played on the same two cores, a full client (httpx) takes more of them than
the server does. This one is h11 on a Trio stream; what is sent and when is the caller's affair, so it can
also be slow, wrong or silent on purpose.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import attrs
import h11
import trio

Headers = Sequence[tuple[bytes, bytes]]

_CHUNK = 1 << 16
_IDLE = {h11.CLIENT: h11.IDLE, h11.SERVER: h11.IDLE}
_DONE = {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}


@attrs.frozen
class Answer:
    """A reply. Headers are as h11 gives them, their names in lower case."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """Return the last header of that name."""
        return dict(self.headers).get(name)


class NoAnswer(Exception):
    """The connection ended, or what came over it was no HTTP, before there was a whole reply."""


@attrs.define(eq=False)
class Wire:
    """One connection, opened at the first need and anew after it broke."""

    _host: str
    _port: int
    _stream: trio.SocketStream | None = None
    _http: h11.Connection = attrs.field(factory=lambda: h11.Connection(h11.CLIENT))

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        if self._stream is None:
            self._stream = await trio.open_tcp_stream(self._host, self._port)
        await self._stream.send_all(data)

    async def request(self, method: bytes, path: bytes, headers: Headers, body: bytes) -> Answer:
        """Send a whole request and return its reply. If it is cancelled, the connection is broken off.

        Raises:
            NoAnswer: see there.
        """
        try:
            return await self._request(method, path, headers, body)
        except (OSError, trio.BrokenResourceError, h11.RemoteProtocolError) as error:
            msg = f"{type(error).__name__}: {error}"
            raise NoAnswer(msg) from error
        finally:
            if self._http.states != _IDLE:
                self.hang_up()

    async def _request(self, method: bytes, path: bytes, headers: Headers, body: bytes) -> Answer:
        head = h11.Request(
            method=method,
            target=path,
            headers=[(b"host", b"soak"), (b"content-length", b"%d" % len(body)), *headers],
        )
        events = (head, h11.Data(data=body), h11.EndOfMessage())
        await self.send(b"".join(self._http.send(event) or b"" for event in events))
        answer = await self.receive()
        if self._http.states == _DONE:
            self._http.start_next_cycle()
        return answer

    async def receive(self) -> Answer:
        """Return the reply to what was sent."""
        response: h11.Response | None = None
        body = bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                data = await self._receive_some()
                self._http.receive_data(data)
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and response is not None:
                return Answer(response.status_code, list(response.headers), bytes(body))
            elif isinstance(event, h11.ConnectionClosed):
                msg = "the server hung up"
                raise NoAnswer(msg)

    async def _receive_some(self) -> bytes:
        if self._stream is None:
            msg = "nothing was sent"
            raise NoAnswer(msg)
        return bytes(await self._stream.receive_some(_CHUNK))

    def hang_up(self) -> None:
        """Break the connection off."""
        if self._stream is not None:
            self._stream.socket.close()
        self._stream = None
        self._http = h11.Connection(h11.CLIENT)


@asynccontextmanager
async def open_wire(url: str) -> AsyncIterator[Wire]:
    """Give out a connection to the server at `url`, which is broken off at the end."""
    parts = urlsplit(url)
    wire = Wire(parts.hostname or "", parts.port or 80)
    try:
        yield wire
    finally:
        wire.hang_up()
