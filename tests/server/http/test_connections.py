"""Connections over real sockets, with an application of a few lines behind them."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import h2.config
import h2.connection
import h2.settings
import trio

from server.http.asgi_types import LINE, App
from server.http.connections import serve_connections
from server.http.front import Front
from server.serving import hypercorn_config, open_listener
from server.settings import Settings
from tests.server.worlds import SIGNER

LONG = bytes(30_000_000)
"""Longer than what the kernel takes off the server's hands."""

SLOW_SECONDS = 0.5
TIMEOUT = 20.0


class Sending:
    """An application that sends something long, and notes what it can know of its arrival."""

    def __init__(self) -> None:
        self.has_broken: list[bool] = []
        self.done = trio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        headers = [(b"content-length", b"%d" % len(LONG))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": LONG})
        self.has_broken.append(scope["state"][LINE].has_broken)
        self.done.set()


@asynccontextmanager
async def serving(app: App, slow_seconds: float = SLOW_SECONDS) -> AsyncIterator[Callable[[], Any]]:
    """Serve `app`; give what connects to it. Nothing may be left of a connection in the end."""
    listener = open_listener("127.0.0.1:0")
    address = listener.getsockname()
    over = trio.Event()
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            await nursery.start(
                serve_connections,
                app,
                hypercorn_config(Settings(grace_seconds=TIMEOUT)),
                trio.SocketListener(trio.socket.from_stdlib_socket(listener)),
                over.wait,
                slow_seconds,
            )

            async def connect() -> trio.SocketStream:
                client = trio.socket.socket()
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                await client.connect(address)
                return trio.SocketStream(client)

            yield connect
            over.set()


async def test_a_reply_that_is_read_has_not_broken() -> None:
    app = Sending()
    async with serving(app, TIMEOUT) as connect, await connect() as client:
        await client.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        length = 0
        while length < len(LONG):
            length += len(await client.receive_some(1 << 20))
        await app.done.wait()
    assert [False] == app.has_broken


async def test_a_reply_whose_client_breaks_it_off_has_broken() -> None:
    app = Sending()
    async with serving(app, TIMEOUT) as connect:
        async with await connect() as client:
            await client.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await client.receive_some(50_000)
        await app.done.wait()
    assert [True] == app.has_broken


async def test_a_client_that_reads_a_byte_now_and_then_is_hung_up_on() -> None:
    app = Sending()
    async with serving(app) as connect, await connect() as client:
        await client.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        while not app.done.is_set():
            assert await client.receive_some(1)
            await trio.sleep(SLOW_SECONDS / 10)
        length = 0
        while more := await client.receive_some(1 << 20):
            length += len(more)
        assert length < len(LONG)
    assert [True] == app.has_broken


def http2(window: int) -> bytes:
    """Return a request of a client that lets so much be sent."""
    client = h2.connection.H2Connection(h2.config.H2Configuration())
    client.initiate_connection()
    client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
    client.increment_flow_control_window(2**31 - 1 - 65535)
    head = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")]
    client.send_headers(1, head, end_stream=True)
    return client.data_to_send()


async def test_a_client_that_reads_a_byte_now_and_then_over_http2_is_hung_up_on() -> None:
    app = Sending()
    async with serving(app) as connect, await connect() as client:
        await client.send_all(http2(2**31 - 1))
        while not app.done.is_set():
            assert await client.receive_some(1)
            await trio.sleep(SLOW_SECONDS / 10)
    assert [True] == app.has_broken


async def test_a_client_that_lets_nothing_be_sent_over_http2_is_hung_up_on() -> None:
    app = Sending()
    front = Front(app, cast("Any", None), SIGNER, slow_seconds=SLOW_SECONDS)
    async with serving(front, TIMEOUT) as connect, await connect() as client:
        await client.send_all(http2(0))
        while await client.receive_some(1 << 20):
            pass
        await app.done.wait()
