"""Rollouts that are played by `/reset` and `/step` over HTTP."""

from __future__ import annotations

import itertools
import json
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.whole.servers import Server, creche
from tests.whole.waiting import SLEEP, hang_up, in_background, is_refused, wait_for_sleeper, wait_until, wake

TALKING = """
import attrs
import trio
from sandbox.observation import Outcome
from server import Environment, Verdict
from tools import tool

@tool
def add(state, by: int) -> int:
    "Add to the counter."
    state["count"] = state.get("count", 0) + by
    return state["count"]

@attrs.frozen
class Task:
    expected: int
    opening: str = ""
    questions: list[str] = []
    fails: str = ""
    pauses: list[float] = []
    allowed: list[str] | None = None

class Talking(Environment[Task]):
    tools = (add, "bash")

    def allowed_tools(self, task):
        return task.allowed

    async def observe(self, session, task, said):
        await trio.sleep(sum(task.pauses[len(said) : len(said) + 1]))
        if task.fails == f"observe {len(said)}":
            raise LookupError("no such luck")
        if task.fails == f"answer {len(said)}":
            return 1
        if task.fails == f"dawdle {len(said)}":
            await trio.sleep_forever()
        if not said:
            return task.opening or None
        if len(said) <= len(task.questions):
            seen = await session.call("add", {"by": 0})
            return f"{task.questions[len(said) - 1]} ({seen.value})"

    async def verify(self, rollout):
        if rollout.task.fails == "verify":
            raise LookupError("no such luck")
        counts = [call.observation.value for call in rollout.calls if call.tool == "add"]
        fields = {"said": rollout.final_text, "output": rollout.response["output"]}
        return Verdict(float(counts[-1:] == [rollout.task.expected]), fields)
"""
ROW: dict[str, Any] = {
    "responses_create_params": {"input": [{"role": "user", "content": "count"}]},
    "expected": 3,
    "_ng_task_index": 0,
}
IDS = itertools.count()


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    text = json.dumps(arguments)
    return {"type": "function_call", "name": tool, "call_id": f"call_{next(IDS)}", "arguments": text}


def say(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "role": "assistant", "content": content}


def step_body(row: dict[str, Any], *output: Any, **more: Any) -> dict[str, Any]:
    return {**row, "response": {"id": f"resp_{next(IDS)}", "output": output}, **more}


def outputs(reply: httpx.Response) -> list[Any]:
    assert 200 == reply.status_code, reply.text
    body = reply.json()
    assert (None, 0.0, False, False) == (
        body["observation"],
        body["reward"],
        body["terminated"],
        body["truncated"],
    )
    return [json.loads(each["output"]) for each in body["info"]["tool_outputs"]]


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "talking.py").write_text(TALKING)
    with creche(folder, f"{folder}/talking.py:Talking", "--set", "body_bytes=1000000") as server:
        yield server


@pytest.fixture(name="client")
def _client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def live(client: httpx.Client) -> int:
    count: int = client.get("/health").json()["sessions"]["live"]
    return count


def test_an_episode_is_played_step_by_step_and_judged_when_its_session_is_dead(client: httpx.Client) -> None:
    row = {**ROW, "opening": "Begin.", "questions": ["And now?"]}
    opened = client.post("/reset", json=row)
    assert {
        "observation": "Begin.",
        "info": {"supports_explicit_close": True, "supports_step_idempotency": True},
    } == opened.json()
    calls = [call("add", by=1), call("add", by=1), call("add", by=1)]
    played = client.post("/step", json=step_body(row, *calls))
    assert [1, 2, 3] == [each["result"] for each in outputs(played)]
    assert [each["call_id"] for each in calls] == [
        each["call_id"] for each in played.json()["info"]["tool_outputs"]
    ]
    asked = client.post("/step", json=step_body(row, say("three"))).json()
    assert {
        "observation": "And now? (3)",
        "reward": 0.0,
        "terminated": False,
        "truncated": False,
        "info": {},
    } == asked
    before = live(client)
    judged = client.post("/step", json=step_body(row, say("still three"))).json()
    assert (1.0, True, False, None) == (
        judged["reward"],
        judged["terminated"],
        judged["truncated"],
        judged["observation"],
    )
    assert before - 1 == live(client)
    info = judged["info"]
    assert ("still three", "full") == (info["said"], info["tier"])
    assert (4, 1.0) == (info["receipt"]["calls"]["count"], info["receipt"]["reward"])
    kinds = [item.get("type", item.get("role")) for item in info["output"]]
    calls_kinds = ["function_call"] * 3 + ["function_call_output"] * 3
    assert [*calls_kinds, "message", "user", "message"] == kinds
    assert (200, {}) == (client.post("/close", json={}).status_code, client.post("/close", json={}).json())


def test_what_the_model_does_wrong_is_told_to_the_model(client: httpx.Client) -> None:
    client.post("/reset", json=ROW)
    broken = {**call("add"), "arguments": '{"by": 1'}
    wrong = [broken, call("nothing"), call("add", by="x"), call("verify"), call("bash", command="exit 3")]
    played = outputs(client.post("/step", json=step_body(ROW, *wrong, {**call("add"), "arguments": ""})))
    assert "not JSON" in played[0]["detail"]
    assert ["Not Found", "Not Found"] == [played[1]["detail"], played[3]["detail"]]
    assert [["body", "by"], ["body", "by"]] == [played[index]["detail"][0]["loc"] for index in (2, 5)]
    assert 3 == played[4]["exit_code"]
    assert 0.0 == client.post("/step", json=step_body(ROW, say("no"))).json()["reward"]


@pytest.mark.parametrize("named", [True, False])
def test_a_step_whose_reply_was_lost_is_answered_again_and_not_taken_again(
    server: Server, client: httpx.Client, named: bool
) -> None:
    client.post("/reset", json=ROW)
    more = {"_ng_step_request_id": "one"} if named else {}
    body = as_bytes(step_body(ROW, call("bash", command="sleep 0.3"), call("add", by=3), **more))
    hang_up(server, client.cookies, "/step", body)
    again = outputs(client.post("/step", content=body))
    assert 3 == again[1]["result"]
    if named:  # also when the reply was sent, and lost by a proxy on the way
        assert again == outputs(client.post("/step", content=body))
    final = as_bytes(step_body(ROW, say("three"), **({"_ng_step_request_id": "two"} if named else {})))
    hang_up(server, client.cookies, "/step", final)
    judged = client.post("/step", content=final)
    assert (200, 1.0) == (judged.status_code, judged.json()["reward"])
    if named:
        assert judged.content == client.post("/step", content=final).content


def as_bytes(body: Any) -> bytes:
    return json.dumps(body).encode()


def test_equal_steps_that_were_answered_are_two_steps(client: httpx.Client) -> None:
    client.post("/reset", json=ROW)
    body = step_body(ROW, {**call("add", by=1), "call_id": "same"})
    assert [1, 2] == [outputs(client.post("/step", json=body))[0]["result"] for _ in range(2)]
    client.post("/close", json={})


def test_one_step_at_a_time(server: Server, client: httpx.Client) -> None:
    client.post("/reset", json=ROW)
    slow = step_body(ROW, call("bash", command=f"{SLEEP}; echo done"))
    thread, results = in_background(lambda: client.post("/step", json=slow))
    sleeper = wait_for_sleeper(server)
    assert is_busy(client)
    wake(sleeper)
    thread.join()
    assert "done\n" == outputs(results[0])[0]["stdout"]
    assert not is_busy(client)
    client.post("/close", json={})


def is_busy(client: httpx.Client, row: dict[str, Any] = ROW) -> bool:
    """Whether another step is refused because one is in progress.

    To ask is to take a step: the one that is meant to be in progress may be refused because of the question.
    """
    return client.post("/step", json=step_body(row, call("nothing"))).status_code == 429


def post_until_taken(url: str, body: Any, cookies: dict[str, str]) -> httpx.Response:
    """Post until it is not refused for another step: `is_busy` may have come first."""
    while True:
        reply = httpx.post(url, json=body, cookies=cookies, timeout=60)
        if reply.status_code != 429:
            return reply


def test_resets_at_once_with_one_cookie_are_one_episode(server: Server, client: httpx.Client) -> None:
    row = {**ROW, "opening": "Begin."}
    cookies = dict(client.get("/").cookies)
    before = client.get("/health").json()["sandboxes"]

    def reset(_: int) -> tuple[str, dict[str, str]]:
        reply = httpx.post(f"{server.url}/reset", json=row, cookies=cookies, timeout=30)
        return reply.json()["observation"], dict(reply.cookies)

    with ThreadPoolExecutor(8) as pool:
        assert [("Begin.", cookies)] * 8 == list(pool.map(reset, range(8)))
    assert before + 1 == client.get("/health").json()["sandboxes"]
    client.post("/step", json=step_body(row, call("add", by=1)))
    refused = client.post("/reset", json=row)
    assert (409, True) == (refused.status_code, "have been taken" in refused.json()["detail"])
    client.post("/close", json={})


@pytest.mark.parametrize("at", ["/reset", "/step"])
def test_an_environment_that_still_thinks_is_cut_off_with_its_session(
    server: Server, client: httpx.Client, at: str
) -> None:
    row = {**ROW, "fails": "dawdle 0" if at == "/reset" else "dawdle 1"}
    cookies = dict(client.get("/").cookies)
    before = live(client)
    for path, body in (("/reset", row), ("/step", step_body(row, say("three")))):
        thread, results = in_background(
            lambda path=path, body=body: post_until_taken(f"{server.url}{path}", body, cookies)
        )
        if path == at:
            break
        thread.join()
    wait_until(lambda: live(client) == before + 1)
    wait_until(lambda: is_busy(client, row))
    assert 200 == client.post("/close", json={}).status_code
    thread.join()
    assert (409, ["detail"]) == (results[0].status_code, list(results[0].json()))
    assert before == live(client)


def test_a_reset_whose_client_has_gone_leaves_no_session(server: Server, client: httpx.Client) -> None:
    body = as_bytes({**ROW, "fails": "dawdle 0"})
    before = live(client)
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST /reset HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        wait_until(lambda: live(client) == before + 1)
    wait_until(lambda: live(client) == before)


def test_an_episode_can_be_closed_at_any_time_and_then_takes_no_steps(client: httpx.Client) -> None:
    assert 200 == client.post("/close", json={}).status_code  # there is none yet
    client.post("/reset", json=ROW)
    client.post("/step", json=step_body(ROW, call("add", by=3)))
    before = live(client)
    assert [200, 200] == [client.post("/close", json={}).status_code for _ in range(2)]
    assert before - 1 == live(client)
    late = client.post("/step", json=step_body(ROW, say("three")))
    assert (409, True) == (late.status_code, "episode is over" in late.json()["detail"])


def test_a_reset_after_the_end_begins_anew(client: httpx.Client) -> None:
    for end in (("/step", step_body(ROW, say("three"))), ("/close", {})):
        assert 200 == client.post("/reset", json=ROW).status_code
        assert [3] == [
            each["result"] for each in outputs(client.post("/step", json=step_body(ROW, call("add", by=3))))
        ]
        client.post(end[0], json=end[1])
        assert 409 == client.post("/step", json=step_body(ROW, call("add", by=3))).status_code


def test_every_reply_sets_the_sessions_cookie(client: httpx.Client) -> None:
    opened = client.post("/reset", json=ROW)
    ((name, value),) = opened.cookies.items()
    replies = [
        client.post("/step", json=step_body(ROW, call("add", by=3))),
        client.post("/step", content=b"{"),
        client.post("/step", json={**ROW, "response": {}}),
        client.post("/step", json=step_body({**ROW, "expected": 4}, say("four"))),
        client.post("/step", content=b" " * 1_000_001),
        client.get("/step"),
        client.post("/close", content=b"["),
        client.post("/ng-rollout/0-0/step", json=step_body(ROW, say("three"))),
        client.post("/step", json=step_body(ROW, say("four"))),
        client.post("/close", json={}),
    ]
    assert [200, 400, 422, 409, 413, 405, 400, 200, 409, 200] == [reply.status_code for reply in replies]
    assert [{name: value}] * len(replies) == [dict(reply.cookies) for reply in replies]
    assert "'expected'" in replies[3].json()["detail"]


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({}, ["body", "expected"]),
        ({"expected": "3"}, ["body", "expected"]),
        (
            {
                "resources_session_id": "a",
                "episode_id": {"rollout_id": "0"},
                "task_id": {"taskset": "t", "task_id": "0"},
                "task_data": ROW,
            },
            ["body", "resources_session_id"],
        ),
    ],
)
def test_a_reset_that_does_not_fit_names_the_field(client: httpx.Client, body: Any, loc: list[str]) -> None:
    reply = client.post("/reset", json=body)
    assert (422, loc) == (reply.status_code, reply.json()["detail"][0]["loc"])


def test_a_trajectory_is_bounded(client: httpx.Client) -> None:
    client.post("/reset", json=ROW)
    long = {"type": "reasoning", "summary": [], "text": "x" * 600_000}
    assert 200 == client.post("/step", json=step_body(ROW, long, call("add", by=3))).status_code
    assert 413 == client.post("/step", json=step_body(ROW, long, call("add", by=3))).status_code
    with_ids = {**say("three"), "prompt_token_ids": [7] * 200_000}  # training reads them, no verifier does
    judged = client.post("/step", json=step_body(ROW, with_ids)).json()
    assert 1.0 == judged["reward"]
    assert "prompt_token_ids" not in judged["info"]["output"][-1]


def test_what_calls_bring_back_is_bounded_and_the_rest_are_not_made(client: httpx.Client) -> None:
    client.post("/reset", json=ROW)
    flood = [call("bash", command="head -c 60000 /dev/zero | tr '\\0' x") for _ in range(12)]
    told = outputs(client.post("/step", json=step_body(ROW, call("add", by=3), *flood)))
    made = [each for each in told if "detail" not in each]
    assert (10, 13) == (len(made), len(told))
    assert "as much as it can hold" in told[-1]["detail"]
    judged = client.post("/step", json=step_body(ROW, say("three")))
    assert (200, 1.0) == (judged.status_code, judged.json()["reward"])


def test_a_tool_that_a_session_may_not_use_does_not_exist_for_it(client: httpx.Client) -> None:
    row = {**ROW, "allowed": ["bash"]}
    client.post("/reset", json=row)
    wrong: list[dict[str, Any]] = [call("add", by="x"), call("add", by=1), call("nothing")]
    told = outputs(client.post("/step", json=step_body(row, *wrong)))
    assert [{"detail": "Not Found"}] * 3 == told
    client.post("/close", json={})
    client.post("/seed_session", json=row)
    for body in (b'{"by":"x"}', b'{"by":1}', b"[]", b"{"):
        reply = client.post("/add", content=body)
        assert (404, '{"detail":"Not Found"}') == (reply.status_code, reply.text)
    assert 422 == client.post("/bash", json={}).status_code
    client.post("/verify", json={**row, "response": {"output": []}})


def test_a_model_in_another_kind_of_session_finds_no_such_tools(client: httpx.Client) -> None:
    client.post("/seed_session", json=ROW)
    client.post("/add", json={"by": 3})
    for path, body in (("/step", step_body(ROW, say("x"))), ("/close", {}), ("/close", ROW)):
        reply = client.post(path, json=body)
        assert (404, '{"detail":"Not Found"}') == (reply.status_code, reply.text)
    assert 409 == client.post("/reset", json={"expected": 4}).status_code
    assert 1.0 == client.post("/verify", json={**ROW, "response": {"output": []}}).json()["reward"]


def test_without_a_session_a_step_is_refused(server: Server) -> None:
    reply = httpx.post(f"{server.url}/step", json=step_body(ROW, say("x")))
    assert (404, True) == (reply.status_code, "no session" in reply.json()["detail"])


@pytest.mark.parametrize(
    ("fails", "at", "words"),
    [
        ("observe 0", "/reset", "observe raised LookupError"),
        ("answer 0", "/reset", "observe returned int and not str"),
        ("observe 1", "/step", "observe raised LookupError"),
        ("verify", "/step", "verifier_error"),
    ],
)
def test_a_failure_of_ours_is_an_error_and_never_a_reward(
    client: httpx.Client, fails: str, at: str, words: str
) -> None:
    row = {**ROW, "fails": fails}
    before = client.get("/health").json()["sandboxes"]
    replies = [client.post("/reset", json=row), client.post("/step", json=step_body(row, say("three")))]
    (failed, *_) = [reply for reply in replies if reply.status_code != 200]
    assert (503, at) == (failed.status_code, failed.request.url.path)
    assert words in failed.json()["detail"]
    assert {"detail"} == failed.json().keys()
    wait_until(lambda: before == client.get("/health").json()["sandboxes"])


def test_a_reset_that_gets_no_sandbox_says_so(tmp_path: Path) -> None:
    (tmp_path / "talking.py").write_text(TALKING)
    settings = ("--set", "max_sessions=1", "--set", "queue_seconds=0.2", "--set", "standby=0")
    environment = f"{tmp_path}/talking.py:Talking"
    with (
        creche(tmp_path, environment, *settings) as server,
        server.client() as first,
        server.client() as second,
    ):
        first.post("/reset", json=ROW)
        refused = second.post("/reset", json=ROW)
        assert (503, True) == (refused.status_code, "no sandbox" in refused.json()["detail"])
        first.post("/close", json={})
        assert 200 == second.post("/reset", json={**ROW, "expected": 4}).status_code


def test_an_expired_episode_is_an_error_and_never_a_reward(tmp_path: Path) -> None:
    (tmp_path / "talking.py").write_text(TALKING)
    settings = ("--set", "limits.idle_seconds=0.2")
    with creche(tmp_path, f"{tmp_path}/talking.py:Talking", *settings) as server, server.client() as client:
        client.post("/reset", json=ROW)
        wait_until(lambda: not live(client))
        late = outputs(client.post("/step", json=step_body(ROW, call("add", by=3))))
        assert "expired" in late[0]["detail"]
        failed = client.post("/step", json=step_body(ROW, say("three")))
        assert (404, True) == (failed.status_code, "session_expired" in failed.json()["detail"])


def test_a_step_that_takes_longer_than_a_session_may_idle_is_no_idleness(tmp_path: Path) -> None:
    (tmp_path / "talking.py").write_text(TALKING)
    # Long, and so few of them: a client on a busy machine is idle itself for a second now and then.
    row = {**ROW, "expected": 0, "questions": ["Sure?", "Really?"], "pauses": [0.0, 5.0]}
    settings = ("--set", "limits.idle_seconds=4")
    with creche(tmp_path, f"{tmp_path}/talking.py:Talking", *settings) as server, server.client() as client:
        assert 200 == client.post("/reset", json=row).status_code
        told = [client.post("/step", json=step_body(row, say("yes"))).json() for _ in range(3)]
        assert ["Sure? (0)", "Really? (0)", None] == [each["observation"] for each in told]
        assert (1.0, True) == (told[-1]["reward"], told[-1]["terminated"])


def test_an_environment_that_thinks_for_too_long_is_a_failure_of_ours(tmp_path: Path) -> None:
    (tmp_path / "talking.py").write_text(TALKING)
    settings = ("--set", "verify_seconds=0.3")
    with creche(tmp_path, f"{tmp_path}/talking.py:Talking", *settings) as server, server.client() as client:
        failed = client.post("/reset", json={**ROW, "fails": "dawdle 0"})
        assert (503, "observe took longer than 0.3 s") == (failed.status_code, failed.json()["detail"])
        wait_until(lambda: not live(client))


def test_a_server_that_stops_lets_a_step_end(tmp_path: Path) -> None:
    (tmp_path / "talking.py").write_text(TALKING)
    settings = ("--set", "grace_seconds=500")
    with creche(tmp_path, f"{tmp_path}/talking.py:Talking", *settings) as server, server.client() as client:
        client.post("/reset", json=ROW)
        slow = step_body(ROW, call("bash", command=f"{SLEEP}; echo done"))
        thread, results = in_background(lambda: client.post("/step", json=slow))
        sleeper = wait_for_sleeper(server)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(server))
        wake(sleeper)
        assert 0 == server.process.wait(60)
        thread.join()
        assert "done\n" == outputs(results[0])[0]["stdout"]
