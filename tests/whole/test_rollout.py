"""Whole rollouts over HTTP against `creche serve`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.whole.servers import Server, creche, hypercorn

ROW = {
    "responses_create_params": {"input": [{"role": "user", "content": "copy a to b"}], "tools": None},
    "files": {"a.txt": "text é"},
    "expected_files": {"b.txt": "text é", "c.txt": None},
    "agent_ref": {"name": "agent"},
    "_ng_task_index": 0,
}
RESPONSE = {"id": "resp_1", "output": [], "usage": {"total_tokens": 3}, "logprob": 1.10}


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with creche(tmp_path_factory.mktemp("server"), "--set", "body_bytes=1000000") as server:
        yield server
        assert 0 == server.stop()


@pytest.fixture(name="client")
def _client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def test_a_whole_rollout(client: httpx.Client) -> None:
    assert "{}" == client.post("/seed_session", json=ROW).text
    assert (
        '{"outcome":"ok","stdout":"","stderr":"","result":"6"}'
        == client.post("/python", json={"code": "text = open('a.txt').read(); len(text)"}).text
    )
    assert (
        '{"outcome":"ok","stdout":"text é\\n","stderr":"","exit_code":0}'
        == client.post("/bash", json={"command": "cat a.txt; echo"}).text
    )
    assert {"result": "'text é'"}.items() <= client.post("/python", json={"code": "text"}).json().items()
    assert "ok" == client.post("/write_file", json={"path": "b.txt", "content": "text é"}).json()["outcome"]
    reply = client.post("/verify", json={**ROW, "response": RESPONSE})
    assert 200 == reply.status_code
    body = reply.json()
    assert (1.0, "ok", "full") == (body["reward"], body["outcome"], body["tier"])
    assert ["a.txt", "b.txt"] == list(body["final_state"]["files"])
    assert {"creche_state": body["receipt"]["state"]} == body["response"].pop("metadata")
    assert {**ROW, "response": RESPONSE}.items() <= body.items()
    assert reply.content == client.post("/verify", json={**ROW, "response": RESPONSE}).content
    after = client.post("/python", json={"code": "1"})
    assert 409 == after.status_code
    assert "session finished" in after.json()["detail"]


def test_replies_are_compact_json_without_a_newline(client: httpx.Client) -> None:
    client.post("/seed_session", json=ROW)
    replies = [
        client.get("/health"),
        client.get("/tools"),
        client.post("/list_files", json={}),
        client.post("/nothing"),
        client.post("/verify", json={**ROW, "response": RESPONSE}),
    ]
    for reply in replies:
        assert "application/json" == reply.headers["content-type"]
        assert reply.content == json.dumps(reply.json(), ensure_ascii=False, separators=(",", ":")).encode()


def test_the_ways_to_ask_whether_it_is_up(client: httpx.Client) -> None:
    for path in ("/", "/healthz", "/livez", "/readyz"):
        assert '{"status":"ok"}' == client.get(path).text
    health = client.get("/health").json()
    assert ("ok", "workbench", "full") == (health["status"], health["environment"], health["tier"])


def test_tools_are_function_definitions(client: httpx.Client) -> None:
    tools = client.get("/tools").json()
    assert ["python", "bash", "read_file", "write_file", "edit_file", "list_files"] == [
        tool["name"] for tool in tools
    ]
    assert all(
        tool["type"] == "function" and not tool["parameters"]["additionalProperties"] for tool in tools
    )


def test_every_reply_sets_the_sessions_cookie(client: httpx.Client) -> None:
    seeded = client.post("/seed_session", json=ROW)
    ((name, value),) = seeded.cookies.items()
    replies = [
        client.post("/python", json={"code": "1"}),
        client.post("/python", json={"code": 1}),
        client.post("/python", content=b"{"),
        client.post("/nothing", json={}),
        client.post("/a/b/c", json={}),
        client.put("/python", json={}),
        client.get("/python"),
        client.post("/python", content=b"x" * 1_000_001),
        client.post("/python", content=(b"x" for _ in range(3))),
        client.get("/health"),
        client.post("/ng-rollout/0-0/verify", json={**ROW, "response": RESPONSE}),
        client.post("/python", json={"code": "1"}),
        client.post("/close_session", json=ROW),
    ]
    assert [200, 422, 400, 404, 404, 405, 405, 413, 400, 200, 200, 409, 200] == [
        reply.status_code for reply in replies
    ]
    assert [{name: value}] * len(replies) == [dict(reply.cookies) for reply in replies]


def test_a_reply_without_a_session_offers_a_cookie_and_a_seed_takes_it_up(client: httpx.Client) -> None:
    offered = dict(client.get("/healthz").cookies)
    assert offered == dict(client.post("/seed_session", json=ROW).cookies)
    assert 200 == client.post("/python", json={"code": "1"}).status_code


def test_agents_that_replace_their_cookies_stay_in_their_session(server: Server) -> None:
    cookies: Any = {}
    for path, body in (
        ("/seed_session", ROW),
        ("/python", {"code": "x = 1"}),
        ("/no", {}),
        ("/python", {"code": "x"}),
    ):
        reply = httpx.post(server.url + path, json=body, cookies={**cookies, "session": "another.servers"})
        cookies = dict(reply.cookies)
    assert "1" == reply.json()["result"]


@pytest.mark.parametrize(
    ("body", "kind", "loc"),
    [
        ({}, "missing", ["body", "code"]),
        ({"code": 1}, "string_type", ["body", "code"]),
        ({"code": "1", "more": 1}, "extra_forbidden", ["body", "more"]),
        ([1], "dict_type", ["body"]),
        ("text", "dict_type", ["body"]),
    ],
)
def test_wrong_arguments_are_named(client: httpx.Client, body: Any, kind: str, loc: list[str]) -> None:
    client.post("/seed_session", json=ROW)
    reply = client.post("/python", json=body)
    assert 422 == reply.status_code
    (problem,) = reply.json()["detail"]
    assert (kind, loc) == (problem["type"], problem["loc"])
    assert {"type", "loc", "msg", "input"} == set(problem)


@pytest.mark.parametrize("body", [b"", b"null", b"{}"])
def test_an_empty_body_is_no_arguments(client: httpx.Client, body: bytes) -> None:
    client.post("/seed_session", json=ROW)
    assert "ok" == client.post("/list_files", content=body).json()["outcome"]


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/..%2fpython",
        "/python/",
        "/creche:write_bytes",
        "/%70ython%00",
        "/verify?x=1",
        "/aggregate_metrics",
    ],
)
def test_a_name_that_is_no_tool_does_not_exist(client: httpx.Client, path: str) -> None:
    client.post("/seed_session", json=ROW)
    reply = client.post(path, json={"code": "1", "response": {}})
    assert (404, '{"detail":"Not Found"}') == (reply.status_code, reply.text)
    assert 200 == client.post("/python", json={"code": "1"}).status_code


def test_without_a_session_a_tool_answers_in_words(server: Server, client: httpx.Client) -> None:
    reply = client.post("/python", json={"code": "1"})
    assert 404 == reply.status_code
    assert "no session" in reply.json()["detail"]
    ((name, value),) = client.post("/seed_session", json=ROW).cookies.items()
    forged = httpx.post(server.url + "/python", json={"code": "1"}, cookies={name: value[:-1] + "x"})
    assert 404 == forged.status_code


def test_a_seed_that_does_not_fit_names_the_field(client: httpx.Client) -> None:
    reply = client.post("/seed_session", json={"files": {"a": 1}})
    assert (422, ["body", "files", "a"]) == (reply.status_code, reply.json()["detail"][0]["loc"])


def test_a_live_session_is_not_seeded_with_another_row(client: httpx.Client) -> None:
    client.post("/seed_session", json=ROW)
    client.post("/python", json={"code": "x = 1"})
    assert 409 == client.post("/seed_session", json={}).status_code
    assert 200 == client.post("/seed_session", json=ROW).status_code
    assert "1" == client.post("/python", json={"code": "x"}).json()["result"]


def test_seeds_at_once_with_one_cookie_are_one_session(server: Server, client: httpx.Client) -> None:
    cookies = dict(client.get("/").cookies)

    def seed(_: int) -> dict[str, str]:
        reply = httpx.post(server.url + "/seed_session", json=ROW, cookies=cookies, timeout=60)
        return dict(reply.cookies)

    before = client.get("/health").json()["sandboxes"]
    with ThreadPoolExecutor(8) as pool:
        assert [cookies] * 8 == list(pool.map(seed, range(8)))
    assert before + 1 == client.get("/health").json()["sandboxes"]


def test_sixty_four_clients_at_once(server: Server) -> None:
    def play(number: int) -> float:
        row = {"expected_files": {"n.txt": str(number)}}
        with server.client() as client:
            client.post("/seed_session", json=row)
            client.post("/python", json={"code": f"x = {number}"})
            client.post("/bash", json={"command": f"test ! -e n.txt && printf {number} > n.txt"})
            assert str(number) == client.post("/python", json={"code": "x"}).json()["result"]
            reward: float = client.post("/verify", json={**row, "response": {}}).json()["reward"]
            return reward

    with ThreadPoolExecutor(64) as pool:
        assert [1.0] * 64 == list(pool.map(play, range(64)))


def test_a_trajectory_of_many_megabytes_passes_through(tmp_path: Path) -> None:
    response = {"output": [], "token_ids": list(range(1_000_000)), "text": "é\n" * 1_000_000}
    with creche(tmp_path) as server, server.client() as client:
        client.post("/seed_session", json=ROW)
        reply = client.post("/verify", json={**ROW, "response": response})
        told = reply.json()
        assert {**response, "metadata": {"creche_state": told["receipt"]["state"]}} == told["response"]
        assert 0.0 == reply.json()["reward"]


@pytest.mark.orphans  # multiprocessing's resource tracker outlives Hypercorn's parent process by a moment
def test_the_plain_hypercorn_command_serves_the_same(tmp_path: Path) -> None:
    settings = {"CRECHE_ENVIRONMENT": "workbench", "CRECHE_LIMITS_CALL_SECONDS": "4"}
    with hypercorn(tmp_path, **settings) as server, server.client() as client:
        client.post("/seed_session", json=ROW)
        assert "timeout" == client.post("/bash", json={"command": "echo a; sleep 20"}).json()["outcome"]
        client.post("/bash", json={"command": "cp a.txt b.txt"})
        assert 1.0 == client.post("/verify", json={**ROW, "response": {}}).json()["reward"]
        client.post("/seed_session", json=ROW)
        assert 0 == server.stop()


def test_an_environment_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import attrs\n"
        "from server import Environment, Verdict\n"
        "from tools import tool\n"
        "SECRET = 'the truth'\n"
        "@tool\n"
        "def greet(state, name: str) -> str:\n"
        "    'Greet somebody.'\n"
        "    return f'hello {name}'\n"
        "@attrs.frozen\n"
        "class Task:\n"
        "    expected: str\n"
        "class Greeting(Environment[Task]):\n"
        "    tools = (greet,)\n"
        "    async def verify(self, rollout):\n"
        "        last = rollout.calls[-1].observation.value\n"
        "        return Verdict(float(last == rollout.task.expected), {'said': last})\n"
    )
    row = {"expected": "hello you"}
    with creche(tmp_path, f"{tmp_path}/mine.py:Greeting") as server, server.client() as client:
        client.post("/seed_session", json=row)
        assert '{"outcome":"ok","result":"hello you"}' == client.post("/greet", json={"name": "you"}).text
        body = client.post("/verify", json={**row, "response": {}}).json()
        assert (1.0, "hello you") == (body["reward"], body["said"])
