"""What clients do to their connections is noticed by nobody else."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import h2.config
import h2.connection
import httpx
import pytest

from tests.whole.servers import Server, creche
from tests.whole.waiting import wait_until

ROW: dict[str, Any] = {"expected_files": {}}
CLOSED = 100


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with creche(tmp_path_factory.mktemp("server")) as server:
        yield server
        assert 0 == server.stop()


def connect(server: Server) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname, parts.port or 0), 60)


def descriptors(server: Server) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def assert_it_answers(server: Server) -> None:
    with server.client() as client:
        client.post("/seed_session", json=ROW)
        assert "2" == client.post("/python", json={"code": "1 + 1"}).json()["result"]
        assert 200 == client.post("/verify", json={**ROW, "response": {}}).status_code


def test_connections_that_clients_close_are_closed_here_too(server: Server) -> None:
    assert_it_answers(server)
    before = descriptors(server)
    for _ in range(CLOSED):
        assert 200 == httpx.get(f"{server.url}/healthz", trust_env=False).status_code
    wait_until(lambda: descriptors(server) < before + CLOSED // 2)  # the standby comes and goes meanwhile


@pytest.mark.parametrize(
    "path", [b"/\xff", b"/a b", b"\x00", b"*", b"//", b"/%ff%00", b"http://[::1/"], ids=repr
)
def test_a_path_over_http2_that_is_no_path_ends_that_connection_at_most(server: Server, path: bytes) -> None:
    config = h2.config.H2Configuration(
        header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
    )
    client = h2.connection.H2Connection(config)
    client.initiate_connection()
    headers = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", path)]
    client.send_headers(1, headers, end_stream=True)
    with connect(server) as connection:
        connection.sendall(client.data_to_send())
        with contextlib.suppress(ConnectionError):
            assert connection.recv(1000)
    assert_it_answers(server)


def test_a_client_that_never_reads_does_not_hold_up_the_end(tmp_path: Path) -> None:
    body = json.dumps({**ROW, "response": {"text": "x" * 30_000_000}}).encode()
    with creche(tmp_path, "--set", "grace_seconds=0.5") as server, connect(server) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        seeded = httpx.post(f"{server.url}/seed_session", json=ROW, trust_env=False)
        cookie = seeded.headers["set-cookie"].partition(";")[0]
        head = f"POST /verify HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        assert connection.recv(10)  # the reply has begun, and is far too long for the buffers
        assert_it_answers(server)
        assert 0 == server.stop()


def test_a_refusal_that_needs_no_body_leaves_the_connection_for_the_next_request(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n")
        assert_it_answers(server)  # enough time to refuse it without
        connection.sendall(b"{}GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        data = b""
        while more := connection.recv(1 << 16):
            data += more
    assert [b"405", b"200"] == [reply[:3] for reply in data.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize(
    ("path", "status"), [(b"/seed_session", 200), (b"/python", 404), (b"/nothing", 404)], ids=repr
)
def test_a_reply_comes_in_one_piece(server: Server, path: bytes, status: int) -> None:
    with connect(server) as connection:
        for _ in range(5):
            body = json.dumps(ROW).encode()
            connection.sendall(
                b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (path, len(body), body)
            )
            head, _, told = connection.recv(1 << 16).partition(b"\r\n\r\n")
            assert b"HTTP/1.1 %d" % status == head[:12]
            assert f"content-length: {len(told)}" in head.decode().split("\r\n")
