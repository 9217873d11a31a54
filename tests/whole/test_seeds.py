"""Seeds over HTTP that come twice, come late or are lost: one session each, or none at all."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.whole.servers import Server, creche
from tests.whole.waiting import wait_until

SLOW = """
from pathlib import Path

import trio
from server import Verdict
from server.environments.workbench import Workbench

class Slow(Workbench):
    "Notes in `began` that a session is being seeded, and goes on when there is a `go`."

    async def seed_session(self, session, task):
        with Path("began").open("a") as file:
            file.write(".")
        while not Path("go").exists():
            await trio.sleep(0.01)
        if "fail" in task.files:
            raise LookupError("no such luck")
        await super().seed_session(session, task)

    def reply(self, tool, observation):
        if tool == "list_files":
            raise LookupError("no such luck")
        return super().reply(tool, observation)
"""
ROW: dict[str, Any] = {"files": {"a.txt": "a"}, "expected_files": {"a.txt": "a"}}
PLACES = 8


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    (tmp_path / "slow.py").write_text(SLOW)
    return tmp_path


@pytest.fixture(name="server")
def _server(folder: Path) -> Iterator[Server]:
    with creche(folder, f"{folder}/slow.py:Slow", "--set", f"max_sessions={PLACES}") as server:
        yield server


def phases(server: Server) -> dict[str, int]:
    found: dict[str, int] = health(server)["sessions"]
    return found


def health(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.url}/health", timeout=60).json()
    return found


def seed(number: int = 0, row: dict[str, Any] = ROW) -> dict[str, Any]:
    return {**close(number), "task_id": {"taskset": "t", "task_id": "0"}, "task_data": row}


def close(number: int = 0) -> dict[str, Any]:
    return {
        "resources_session_id": f"resources-session-{number}",
        "episode_id": {"rollout_id": "0-0", "attempt": 0},
    }


def post(server: Server, path: str, body: Any, cookies: Any = None) -> httpx.Response:
    return httpx.post(f"{server.url}{path}", json=body, cookies=cookies, timeout=60)


def at_once(count: int, server: Server, body: Any, go: Path, cookies: Any = None) -> list[httpx.Response]:
    """Send a seed several times; let the first begin, and the others come, before any can end."""
    with ThreadPoolExecutor(count) as pool:
        asked = [pool.submit(post, server, "/seed_session", body, cookies) for _ in range(count)]
        wait_until(lambda: phases(server)["seeding"] == 1)
        go.touch()
        return [each.result() for each in asked]


@pytest.mark.parametrize("generation", [1, 2])
def test_seeds_at_once_allocate_once_and_all_get_the_answer_of_the_first(
    server: Server, folder: Path, generation: int
) -> None:
    body = ROW if generation == 1 else seed()
    cookies = dict(httpx.get(server.url).cookies) if generation == 1 else None
    before = health(server)["sandboxes"]
    replies = at_once(8, server, body, folder / "go", cookies)
    assert {(200, replies[0].content)} == {(reply.status_code, reply.content) for reply in replies}
    assert 1 == len({tuple(reply.cookies.items()) for reply in replies})
    assert "." == (folder / "began").read_text()
    assert (1, before + 1) == (phases(server)["live"], health(server)["sandboxes"])


def test_who_loses_the_race_to_a_seed_that_fails_is_told_the_same(server: Server, folder: Path) -> None:
    failing = seed(1, {"files": {"fail": ""}, "expected_files": {}})
    replies = at_once(4, server, failing, folder / "go")
    assert {(503, replies[0].content)} == {(reply.status_code, reply.content) for reply in replies}
    assert "seed_session raised LookupError" in replies[0].json()["detail"]
    assert "." == (folder / "began").read_text()
    wait_until(lambda: phases(server)["live"] == 0)


@pytest.mark.parametrize("generation", [1, 2])
def test_a_seed_whose_client_has_gone_leaves_nothing_that_nobody_can_end(
    server: Server, folder: Path, generation: int
) -> None:
    """In the first generation nobody can come back for it. In the second its id can, or closes it."""
    body = json.dumps(ROW if generation == 1 else seed()).encode()
    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST /seed_session HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + body)
        wait_until(lambda: phases(server)["seeding"] == 1)
    if generation == 2:
        (folder / "go").touch()
        wait_until(lambda: phases(server)["live"] == 1)
        assert 200 == post(server, "/seed_session", seed()).status_code
        assert "." == (folder / "began").read_text()
        assert 200 == post(server, "/close_session", close()).status_code
    wait_until(lambda: phases(server) == {**phases(server), "seeding": 0, "live": 0, "waiting": 0})
    (folder / "go").touch()
    taken = [post(server, "/seed_session", ROW) for _ in range(PLACES)]  # no place is lost
    assert [200] * PLACES == [reply.status_code for reply in taken]
    assert PLACES == phases(server)["live"]


def test_a_rollout_of_the_second_generation(server: Server, folder: Path) -> None:
    (folder / "go").touch()
    seeded = post(server, "/seed_session", seed())
    assert {
        "resources_session_id": "resources-session-0",
        "resources_tools": None,
        "sandbox_access": None,
    } == seeded.json()
    cookies = dict(seeded.cookies)
    assert "ok" == post(server, "/python", {"code": "x = 1"}, cookies).json()["outcome"]
    again = post(server, "/seed_session", seed())  # without the cookie, whose reply may have been lost
    assert (seeded.content, cookies) == (again.content, dict(again.cookies))
    assert "1" == post(server, "/python", {"code": "x"}, cookies).json()["result"]
    flat = {**ROW, "responses_create_params": {"input": []}, "response": {"output": [], "id": "r"}}
    verdict = post(server, "/verify", flat, cookies)
    assert 1.0 == verdict.json()["reward"]
    assert verdict.content == post(server, "/verify", flat, cookies).content
    for cookie in (cookies, None, None):
        closed = post(server, "/close_session", close(), cookie)
        assert (200, {"resources_session_id": "resources-session-0"}) == (closed.status_code, closed.json())
    assert 409 == post(server, "/seed_session", seed()).status_code


def test_a_close_keeps_an_id_spent_and_needs_no_cookie(server: Server, folder: Path) -> None:
    (folder / "go").touch()
    assert 200 == post(server, "/close_session", close(5)).status_code  # of an id that was never seeded
    assert 409 == post(server, "/seed_session", seed(5)).status_code
    cookies = dict(post(server, "/seed_session", seed(6)).cookies)
    other = {**close(6), "episode_id": {"rollout_id": "0-1", "attempt": 0}}
    assert 409 == post(server, "/close_session", other).status_code
    assert "1" == post(server, "/python", {"code": "1"}, cookies).json()["result"]
    assert [200, 200] == [post(server, "/close_session", close(6)).status_code for _ in range(2)]
    assert 409 == post(server, "/seed_session", seed(6)).status_code
    assert 0 == phases(server)["live"]


def test_an_accident_of_ours_keeps_the_session_and_its_cookie(server: Server, folder: Path) -> None:
    (folder / "go").touch()
    cookies = dict(post(server, "/seed_session", ROW).cookies)
    failed = post(server, "/list_files", {}, cookies)
    assert (500, cookies) == (failed.status_code, dict(failed.cookies))
    assert "incident" in failed.json()["detail"]
    assert "2" == post(server, "/python", {"code": "2"}, dict(failed.cookies)).json()["result"]
