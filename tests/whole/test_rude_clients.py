"""Clients that send slowly, read nothing, send too much or speak something else: the others do not notice."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import h2.config
import h2.connection
import h2.settings
import httpx
import pytest

from scripts.soaking.overload import resident
from tests.whole.servers import Server, creche
from tests.whole.test_connections import ROW, assert_it_answers, connect, descriptors
from tests.whole.waiting import wait_until

MIB = 1 << 20
IDLE = 1000


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    bounds = ("body_bytes=1000000", "body_seconds=3", "keep_alive_seconds=2", "grace_seconds=0.5")
    settings = (*bounds, "mcp=true")
    arguments = [argument for setting in settings for argument in ("--set", setting)]
    with creche(tmp_path_factory.mktemp("server"), *arguments) as server:
        yield server
        assert 0 == server.stop()
        assert "Traceback" not in server.log.read_text()


def received(connection: socket.socket) -> bytes:
    """Return all that comes until the server hangs up."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while more := connection.recv(1 << 16):
            data += more
    return data


@pytest.mark.parametrize("path", ["python", "verify", "nothing", "health", "mcp"])
def test_a_body_that_does_not_come_is_answered_408(server: Server, path: str) -> None:
    method = "GET" if path == "health" else "POST"
    with connect(server) as connection:
        connection.sendall(f"{method} /{path} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12".encode())
        assert_it_answers(server)
        assert received(connection).startswith(b"HTTP/1.1 408")


def test_a_head_that_does_not_come_is_hung_up_on(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(b"POST /python HTTP/1.1\r\nHost: a\r\nX-")
        assert_it_answers(server)
        assert b"" == received(connection)


def test_a_body_that_comes_byte_by_byte_is_answered_408_too(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(b"POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        connection.settimeout(0.05)
        reply = b""
        while not reply:  # the deadline is for the whole body: no byte of it pushes it away
            with contextlib.suppress(TimeoutError):
                with contextlib.suppress(ConnectionError):  # it has been answered, which is still to be read
                    connection.sendall(b" ")
                reply = connection.recv(1 << 16)
        assert reply.startswith(b"HTTP/1.1 408")
    assert_it_answers(server)


@pytest.mark.parametrize("path", ["verify", "mcp"])
def test_a_body_that_is_too_long_is_answered_413_and_the_connection_goes_on(
    server: Server, path: str
) -> None:
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client:
        replies = [client.post(f"/{path}", content=b" " * 2_000_000), client.get("/healthz")]
        ports = [reply.extensions["network_stream"].get_extra_info("client_addr")[1] for reply in replies]
    assert [413, 200] == [reply.status_code for reply in replies]
    assert ports[0] == ports[1]
    assert {"detail": "The request body is too large"} == replies[0].json()
    assert "set-cookie" in replies[0].headers


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_no_stream_is_held_open_for_mcp_clients(server: Server, method: str) -> None:
    accept = {"accept": "application/json, text/event-stream"}
    reply = httpx.request(method, f"{server.url}/mcp", headers=accept, trust_env=False, timeout=20)
    assert (405, "POST") == (reply.status_code, reply.headers["allow"])


@pytest.mark.parametrize("path", [b"verify", b"mcp"])
@pytest.mark.parametrize("head", [b"Content-Length: 1073741824", b"Transfer-Encoding: chunked"])
def test_a_body_of_a_gibibyte_is_neither_kept_nor_in_anybodys_way(
    server: Server, path: bytes, head: bytes
) -> None:
    before = resident(server.process.pid)
    chunk = b"%x\r\n" % MIB + b" " * MIB + b"\r\n" if b"chunked" in head else b" " * MIB
    with connect(server) as connection:
        connection.sendall(b"POST /" + path + b" HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n\r\n")
        with contextlib.suppress(ConnectionError):  # the server may hang up at any moment
            for number in range(1024):
                connection.sendall(chunk)
                if number == 100:
                    assert_it_answers(server)
                    break
    assert resident(server.process.pid) < before + 64 * MIB
    assert_it_answers(server)


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the beginning of TLS
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /python HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /python HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
        b"POST /python HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST /python HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /python HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x05\x04\0\0\0\0\0hello",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\xff\xff\xff\x01\x25\0\0\0\x01",
    ],
    ids=lambda data: repr(data[:40]),
)
def test_what_is_no_request_is_refused_and_nobody_else_is(server: Server, data: bytes) -> None:
    with connect(server) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        assert b" 200 " not in received(connection)[:20]
    assert_it_answers(server)


def test_a_whole_rollout_can_be_played_over_http2(server: Server) -> None:
    with httpx.Client(base_url=server.url, http1=False, http2=True, trust_env=False, timeout=60) as client:
        client.post("/seed_session", json=ROW)
        reply = client.post("/python", json={"code": "1 + 1"})
        assert ("HTTP/2", "2") == (reply.http_version, reply.json()["result"])
        assert 413 == client.post("/python", content=b" " * 2_000_000).status_code
        assert 200 == client.post("/verify", json={**ROW, "response": {}}).status_code


def test_an_upgrade_to_http2_is_granted(server: Server) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    with connect(server) as connection:
        connection.sendall(head + b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 101")
    assert_it_answers(server)


def test_a_client_that_lets_nothing_be_sent_over_http2_is_in_nobodys_way(server: Server) -> None:
    client = h2.connection.H2Connection(h2.config.H2Configuration())
    client.local_settings[h2.settings.SettingCodes.INITIAL_WINDOW_SIZE] = 0
    client.initiate_connection()
    for stream in range(1, 100, 2):
        headers = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/tools")]
        client.send_headers(stream, headers, end_stream=True)
    with connect(server) as connection:
        connection.sendall(client.data_to_send())
        assert connection.recv(10)
        assert_it_answers(server)
        assert_it_answers(server)


def test_requests_sent_without_waiting_for_replies_are_answered_in_order(server: Server) -> None:
    body = json.dumps({"code": "1"}).encode()
    request = b"POST /python HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with connect(server) as connection:
        connection.sendall(request * 50 + b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        data = received(connection)
    assert (50, 1) == (data.count(b"HTTP/1.1 404"), data.count(b"HTTP/1.1 200"))
    assert data.endswith(b'{"status":"ok"}')


def test_a_thousand_idle_connections_are_in_nobodys_way_and_go_when_they_may(server: Server) -> None:
    before = descriptors(server)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, IDLE + 200), hard), hard))
    try:
        with ExitStack() as opened:
            idle = [opened.enter_context(connect(server)) for _ in range(IDLE)]
            assert_it_answers(server)
            assert IDLE == sum(1 for connection in idle if b"" == received(connection))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_until(lambda: descriptors(server) < before + IDLE // 10)  # the standby comes and goes meanwhile
    assert_it_answers(server)


def test_after_all_that_the_server_holds_no_connection(server: Server, tmp_path: Path) -> None:
    port = int(server.url.rpartition(":")[2])
    wait_until(lambda: f":{port:04X} " not in established())


def established() -> str:
    """Return the local addresses of what is connected here, as the kernel writes them."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return " ".join(f"{row[1]} " for row in rows if row[3] != "0A" and row[3] != "06")
