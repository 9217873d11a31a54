"""A client that costs next to nothing: one keep-alive connection, blocking, no more HTTP than is needed.

It is the same for every server measured, so that what differs is the server. A real client (httpx)
spends more time on a request than the server does and would hide it.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import attrs

_TIMEOUT_SECONDS = 60.0
_OK = 200


@attrs.define(eq=False)
class Client:
    """A connection. It carries the last cookie that it was given, as agents do; `forget` drops it."""

    _connection: socket.socket
    _cookie: bytes = b""

    def forget(self) -> None:
        """Be nobody's session again."""
        self._cookie = b""

    def post(self, path: str, body: bytes) -> bytes:
        """Do as `request`."""
        return self.request(b"POST", path, body)

    def request(self, method: bytes, path: str, body: bytes = b"") -> bytes:
        """Send a request and return the reply's body.

        Raises:
            ValueError: the reply is not 200, or has no Content-Length.
            OSError: the connection broke.
        """
        head = b"%b %b HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n"
        self._connection.sendall(head % (method, path.encode(), len(body), self._cookie) + body)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._receive()
        headers, _, reply = received.partition(b"\r\n\r\n")
        length = self._read_headers(headers)
        while len(reply) < length:
            reply += self._receive()
        if int(headers.split(b" ", 2)[1]) != _OK:
            msg = f"{path} was answered {headers.split(b' ', 2)[1]!r}: {reply[:300]!r}"
            raise ValueError(msg)
        return reply

    def post_json(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Do the same with objects."""
        reply = json.loads(self.post(path, json.dumps(body).encode()))
        if not isinstance(reply, dict):
            msg = f"{path} was answered with {reply!r}"
            raise TypeError(msg)
        return reply

    def get_json(self, path: str) -> Any:
        """Return what is to be had at `path`."""
        return json.loads(self.request(b"GET", path))

    def _receive(self) -> bytes:
        data = self._connection.recv(1 << 16)
        if not data:
            msg = "the server hung up"
            raise ConnectionError(msg)
        return data

    def _read_headers(self, headers: bytes) -> int:
        length = None
        for row in headers.split(b"\r\n")[1:]:
            name, _, value = row.partition(b":")
            lowered = name.lower()
            if lowered == b"content-length":
                length = int(value)
            elif lowered == b"set-cookie":
                self._cookie = b"Cookie:%b\r\n" % value.partition(b";")[0]
        if length is None:
            msg = f"a reply without Content-Length: {headers!r}"
            raise ValueError(msg)
        return length


@contextmanager
def open_client(url: str) -> Iterator[Client]:
    """Connect to the server at `url`."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 80), _TIMEOUT_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Client(connection)
