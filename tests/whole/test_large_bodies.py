"""A trajectory with token ids: it passes through as it came, and costs a bounded number of times its size."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.whole.servers import Server, creche
from tests.whole.test_connections import connect

MIB = 1024 * 1024
SIZE = 63 * MIB
ROW = b'"initial_count":1,"expected_count":1'
IDS = b"[" + b"104729,1.0e1," * (SIZE // 13) + b"7]"
BODY = b"{" + ROW + b',"response":{"output":[{"type":"message","token_ids":' + IDS + b"}]}}"
CALLS_MEANWHILE = 20


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> Iterator[Server]:
    with creche(tmp_path, "example_session_state_mgmt") as server:
        yield server


def seed(client: httpx.Client) -> None:
    assert 200 == client.post("/seed_session", content=b"{" + ROW + b"}").status_code


def peak_bytes(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def test_sixty_four_megabytes_are_judged_and_repeated(server: Server) -> None:
    with server.client() as client:
        seed(client)
        before = peak_bytes(server)
        reply = client.post("/verify", content=BODY, timeout=150)
        assert 200 == reply.status_code
        assert IDS in reply.content
        assert re.search(rb'"reward":1\.0\b', reply.content[-20_000:])
        assert 10 > (peak_bytes(server) - before) / len(BODY)


def test_arguments_that_no_session_can_take_are_refused_before_they_are_read(server: Server) -> None:
    body = b'{"count":[' + b"[]," * (SIZE // 3) + b"[]]}"
    with server.client() as client:
        seed(client)
        before = peak_bytes(server)
        reply = client.post("/increment_counter", content=body, timeout=150)
        assert (422, "The arguments are too long") == (reply.status_code, reply.json()["detail"][0]["msg"])
        assert 5 > (peak_bytes(server) - before) / len(body)  # read, they would be some thirty times as large
        assert {"count": 1} == client.post("/get_counter_value", json={}).json()


def test_others_are_served_while_sixty_four_megabytes_are_judged(server: Server) -> None:
    with server.client() as long, server.client() as short, connect(server) as connection:
        seed(long)
        seed(short)
        cookie = "; ".join(f"{name}={value}" for name, value in long.cookies.items())
        head = f"POST /verify HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\nContent-Length: {len(BODY)}\r\n\r\n"
        connection.settimeout(150)
        connection.sendall(head.encode() + BODY)
        for _ in range(CALLS_MEANWHILE):
            assert {"count": 1} == short.post("/get_counter_value", json={}).json()
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):  # nothing of the reply is there yet
            connection.recv(1)
        connection.settimeout(150)
        assert b"HTTP/1.1 200" == connection.recv(12)
