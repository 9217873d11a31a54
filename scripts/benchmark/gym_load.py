"""Rollouts, one after another on each of so many connections, and what they cost the server.

A connection carries one session at a time, as an agent's does: seed, two calls, verify, and again with a new
session. Latency is a request's, from its first byte out to its last byte in.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import attrs
import trio

from scripts.benchmark import accounts
from scripts.quantiles import quantile

_OK = 200
_RECEIVE_BYTES = 1 << 16
_PATIENCE_SECONDS = 120.0


class WrongReplyError(Exception):
    """A server did not answer as it must, so what was measured means nothing."""


@attrs.frozen
class Workload:
    """A rollout, and what it must come to.

    Attributes:
        name: of NeMo Gym's server.
        row: what is seeded.
        calls: tools and arguments.
        text: the final message.
    """

    name: str
    row: Mapping[str, Any]
    calls: Sequence[tuple[str, Mapping[str, Any]]]
    text: str

    def requests(self) -> list[tuple[str, bytes]]:
        """Return the requests of a rollout: path and body."""
        content = [{"type": "output_text", "text": self.text, "annotations": []}]
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": content,
        }
        response = {
            "id": "resp_1",
            "object": "response",
            "created_at": 0.0,
            "model": "none",
            "output": [message],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }
        asked = [("/seed_session", self.row), *((f"/{tool}", arguments) for tool, arguments in self.calls)]
        asked.append(("/verify", {**self.row, "response": response}))
        return [(path, json.dumps(body).encode()) for path, body in asked]


_PROMPT = {"input": [{"role": "user", "content": "Do the task."}]}
_CODE = {"code": "import math\nx = math.factorial(20)\nprint(x)"}
WORKLOADS = (
    Workload(
        "example_session_state_mgmt",
        {"responses_create_params": _PROMPT, "initial_count": 3, "expected_count": 6},
        (("increment_counter", {"count": 3}), ("get_counter_value", {})),
        "6",
    ),
    Workload(
        "math_with_code",
        {"responses_create_params": _PROMPT, "question": "20!", "expected_result": "7"},
        (("execute_python", _CODE), ("execute_python", {"code": "print(x % 1000)"})),
        "\\boxed{7}",
    ),
)


@attrs.frozen
class Cell:
    """One measurement.

    Attributes:
        workload: what was played.
        server: whose it was.
        connections: at once.
        requests: answered.
        seconds: it took.
        cpu_seconds: of the server and all that it started.
        p99_seconds: 99 % of the requests were answered within.
        memory_bytes: of the server and all that it started, proportionally, halfway; None where only root may
            look.
    """

    workload: str
    server: str
    connections: int
    requests: int
    seconds: float
    cpu_seconds: float
    p99_seconds: float
    memory_bytes: int | None


async def measure(
    workload: Workload, server: str, url: str, pid: int, connections: int, seconds: float
) -> Cell:
    """Play rollouts for so many seconds, then those to their end that have begun.

    Raises:
        WrongReplyError: a rollout was not rewarded.
    """
    latencies: list[float] = []
    cpu, started = accounts.cpu_seconds(pid), time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(connections):
            nursery.start_soon(_play, workload, url, started + seconds, latencies)
        await trio.sleep(seconds / 2)
        memory = await trio.to_thread.run_sync(_memory_of, pid)
    took = time.perf_counter() - started
    return Cell(
        workload.name,
        server,
        connections,
        len(latencies),
        took,
        accounts.cpu_seconds(pid) - cpu,
        quantile(latencies, 0.99),
        memory,
    )


def _memory_of(pid: int) -> int | None:
    try:
        return accounts.proportional_bytes(pid)
    except PermissionError:
        return None


async def _play(workload: Workload, url: str, until: float, latencies: list[float]) -> None:
    """Play rollouts on a connection of one's own, until it is late; at least one."""
    parts = urlsplit(url)
    requests = workload.requests()
    stream = await trio.open_tcp_stream(parts.hostname or "", parts.port or 80)
    async with stream:
        while True:
            cookie, body = b"", b""
            for path, content in requests:
                began = time.perf_counter()
                with trio.fail_after(_PATIENCE_SECONDS):
                    body, cookie = await _ask(stream, path, content, cookie)
                latencies.append(time.perf_counter() - began)
            if json.loads(body).get("reward") != 1.0:
                msg = f"{workload.name} at {url} was not rewarded: {body[:500]!r}"
                raise WrongReplyError(msg)
            if time.perf_counter() > until:
                return


async def _ask(stream: trio.SocketStream, path: str, content: bytes, cookie: bytes) -> tuple[bytes, bytes]:
    """Send a request; return the reply's body and the cookie to go on with."""
    head = b"POST %b HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n"
    await stream.send_all(head % (path.encode(), len(content), cookie) + content)
    received = b""
    while b"\r\n\r\n" not in received:
        received += await _receive(stream)
    headers, _, body = received.partition(b"\r\n\r\n")
    status, *rows = headers.split(b"\r\n")
    length = 0
    for row in rows:
        name, _, value = row.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        elif name.lower() == b"set-cookie":
            cookie = b"Cookie:%b\r\n" % value.partition(b";")[0]
    while len(body) < length:
        body += await _receive(stream)
    if int(status.split(b" ", 2)[1]) != _OK:
        msg = f"{path} was answered {status!r}: {body[:500]!r}"
        raise WrongReplyError(msg)
    return body, cookie


async def _receive(stream: trio.SocketStream) -> bytes:
    data = await stream.receive_some(_RECEIVE_BYTES)
    if not data:
        msg = "the server hung up"
        raise WrongReplyError(msg)
    return bytes(data)
