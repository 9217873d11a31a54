"""A switch between an agent and the server: where requests go can be changed, and connections can break.

The agent knows only the switch's address. So one agent, which takes seconds to start, serves every test.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import attrs

from tests.whole.gym.model import serving

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host"}


@attrs.define(eq=False)
class Switch:
    """Where requests go, and what becomes of them.

    Attributes:
        port: where the switch listens.
        target: the server's address; None refuses everybody.
        breaks_every: break the connection of each so-and-so-many-th request when the server has got it and
            before it can answer; 0 is never.
        broken: how many were.
        loses: how the path of requests ends of which each third loses its reply, once that was sent.
        lost: how many did.
        begun: the paths of the requests that were handed on.
    """

    port: int = 0
    target: str | None = None
    breaks_every: int = 0
    broken: int = 0
    loses: str = ""
    lost: int = 0
    begun: list[str] = attrs.field(factory=list[str])
    _count: Iterator[int] = attrs.field(factory=lambda: itertools.count(1))
    _losing: Iterator[int] = attrs.field(factory=lambda: itertools.count(1))

    def is_to_break(self) -> bool:
        """Say of a request whether its connection breaks."""
        if not self.breaks_every or next(self._count) % self.breaks_every:
            return False
        self.broken += 1
        return True

    def is_to_lose(self, path: str) -> bool:
        """Say of a reply whether it gets lost."""
        if not self.loses or not path.endswith(self.loses) or next(self._losing) % 3:
            return False
        self.lost += 1
        return True


@contextmanager
def open_switch() -> Iterator[Switch]:
    """Open a switch that refuses everybody until it has a target."""
    switch = Switch()

    class Handler(_Handler):
        its = switch

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as switch.port:
        yield switch


class _Handler(BaseHTTPRequestHandler):
    its: Switch
    timeout = 60

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.its.target is None:
            self._hang_up()
            return
        parts = urlsplit(self.its.target)
        upstream = HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        try:
            headers = {key: value for key, value in self.headers.items() if key.lower() not in _HOP_BY_HOP}
            upstream.connect()
            is_to_break = self.its.is_to_break()
            # Held back until the connection is closed, the request arrives together with the news of that.
            upstream.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, is_to_break)
            self.its.begun.append(self.path)
            upstream.request("POST", self.path, body, headers)
            if is_to_break:
                # Not before the server has noticed: what it is asked until then is no retry.
                upstream.sock.shutdown(socket.SHUT_WR)
                upstream.sock.recv(1)
                upstream.close()
                self._hang_up()
                return
            reply = upstream.getresponse()
            content = reply.read()
        except OSError:
            self._hang_up()
            return
        finally:
            upstream.close()
        if self.its.is_to_lose(self.path):
            self._hang_up()
            return
        self.send_response(reply.status)
        for key, value in reply.getheaders():
            if key.lower() not in _HOP_BY_HOP:
                self.send_header(key, value)
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.send_error(404)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as it is called there
        """Say nothing."""
