"""Values within values, as deep as can just be read and deeper: never an accident, always the cookie.

How deep that is depends on the Python, on the route and on where in the body the value stands. So it is
searched for: between any two depths that are answered differently, and a few levels around each such place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests.whole.servers import Server, creche

ROW: dict[str, Any] = {"responses_create_params": {"input": []}}
HEADER = "X-NeMo-Gym-Session-Token"
KNOWN_DEPTHS = (1, 90, 150, 450, 800, 1000, 3000, 12_000)
AROUND = 4

_RESPONSE = '{"responses_create_params": {"input": []}, "response": {"output": [%s]}, "more": 1}'
_CALL = '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "python", "arguments": %s}}'

BODIES = {
    "itself": "%s",
    "a code": '{"code": %s}',
    "an id": '{"resources_session_id": "a", "episode_id": %s}',
    "a member": _RESPONSE.replace("1}", "%s}").replace("[%s]", "[]"),
    "beside NaN": _RESPONSE.replace("1}", "[NaN, %s]}").replace("[%s]", "[]"),
    "an item": _RESPONSE.replace("%s", '{"type": "message", "more": %s}'),
    "a reply": '{"verify_responses": [{"reward": 1, "more": %s}]}',
    "arguments": _CALL,
    "an argument": _CALL.replace("%s", '{"code": %s}'),
}
STEP = _RESPONSE.replace("%s", '{"type": "function_call", "name": "python", "call_id": "a", "arguments": %s}')

CASES = [
    *(
        (path, "itself")
        for path in ("seed_session", "python", "verify", "close", "aggregate_metrics", "nothing")
    ),
    *(
        (path, "a member")
        for path in ("seed_session", "python", "verify", "close_session", "reset", "step", "close")
    ),
    *((path, "beside NaN") for path in ("seed_session", "python", "verify", "step")),
    *((path, "an item") for path in ("verify", "step")),
    *((path, "an id") for path in ("seed_session", "close_session")),
    ("python", "a code"),
    ("aggregate_metrics", "a reply"),
    ("mcp", "arguments"),
    ("mcp", "an argument"),
]


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with creche(tmp_path_factory.mktemp("server"), "--set", "mcp=true") as server:
        yield server
        assert 0 == server.stop()
        assert "incident" not in server.log.read_text()


def look_closely(ask: Callable[[int], object]) -> None:
    """Ask at many depths, and at all of them near those where the answer changes."""
    known: dict[int, object] = {}

    def answer(depth: int) -> object:
        if depth not in known:
            known[depth] = ask(depth)
        return known[depth]

    def search(low: int, high: int) -> None:
        if answer(low) == answer(high):
            return
        if high - low > 1:
            search(low, (low + high) // 2)
            search((low + high) // 2, high)
            return
        for depth in range(max(1, low - AROUND), high + AROUND):
            answer(depth)

    for low, high in pairwise(KNOWN_DEPTHS):
        search(low, high)


def deep(depth: int, opening: str, closing: str) -> str:
    return opening * depth + "1" + closing * depth


@contextmanager
def in_a_session(server: Server, path: str) -> Iterator[httpx.Client]:
    with server.client() as client:
        client.headers["accept"] = "application/json, text/event-stream"
        client.headers["content-type"] = "application/json"
        if path in {"python", "verify", "mcp"}:
            seeded = client.post("/seed_session", json=ROW)
            client.headers[HEADER] = seeded.json()["mcp"]["headers"][HEADER]
        if path == "step":
            client.post("/reset", json=ROW)
        yield client
        client.post("/close" if path == "step" else "/close_session", json=ROW)


@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}")], ids=["lists", "objects"])
@pytest.mark.parametrize(("path", "where"), CASES)
def test_a_body_of_any_depth_is_answered_or_refused_with_the_cookie(
    server: Server, path: str, where: str, brackets: tuple[str, str]
) -> None:
    with in_a_session(server, path) as client:

        def ask(depth: int) -> int:
            reply = client.post(f"/{path}", content=(BODIES[where] % deep(depth, *brackets)).encode())
            assert reply.status_code < 500, (depth, reply.text)
            assert "set-cookie" in reply.headers
            return reply.status_code

        look_closely(ask)
        assert 200 == client.get("/healthz").status_code


@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}")], ids=["lists", "objects"])
def test_arguments_of_any_depth_are_told_to_the_model_that_sent_them_in_a_step(
    server: Server, brackets: tuple[str, str]
) -> None:
    with in_a_session(server, "step") as client:

        def ask(depth: int) -> str:
            arguments = json.dumps(BODIES["a code"] % deep(depth, *brackets))
            reply = client.post("/step", content=(STEP % arguments).encode())
            assert 200 == reply.status_code, (depth, reply.text)
            (output,) = reply.json()["info"]["tool_outputs"]
            assert "incident" not in output["output"]
            return str(output["output"])[:50]

        look_closely(ask)
