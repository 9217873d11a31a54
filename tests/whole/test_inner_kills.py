"""SIGKILL for what is inside a server's cage: who loses what, who is charged with it, and that it goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.soaking.census import is_dead
from tests.whole.servers import Server, creche
from tests.whole.waiting import SLEEP, wait_for_sleeper, wait_until

ROW: dict[str, Any] = {"expected_files": {"kept.txt": "kept"}}
KEEP = {"code": "open('kept.txt', 'w').write('kept'); mine = 1"}
LONG = {
    "python": {"code": f"import subprocess; subprocess.run('{SLEEP}'.split())"},
    "bash": {"command": f"{SLEEP}; true"},
}
SHORT = {
    "python": {"code": f"import subprocess; child = subprocess.Popen('{SLEEP}'.split())"},
    "bash": {"command": f"{SLEEP} &"},
}
"""Calls whose process starts a child, by which it is found from outside: one waits for it, one does not."""


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with creche(tmp_path_factory.mktemp("server"), "--set", "log_level=warning") as server:
        yield server
        assert 0 == server.stop()


@pytest.fixture(name="player")
def _player(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        client.post("/seed_session", json=ROW)
        client.post("/python", json=KEEP)
        yield client


@pytest.fixture(name="bystander")
def _bystander(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        client.post("/seed_session", json=ROW)
        client.post("/python", json=KEEP)
        yield client


def answering(server: Server) -> int:
    """Return the process below the server that has started a sleep, once there is one."""
    return parent(wait_for_sleeper(server))


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])


def itself(pid: int) -> int:
    return pid


def grandparent(pid: int) -> int:
    return parent(parent(pid))


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def kill_during(
    server: Server, client: httpx.Client, tool: str, whom: Callable[[int], int]
) -> httpx.Response:
    """Begin a long call, kill what `whom` makes of the process that answers it, and return the reply."""
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(client.post, f"/{tool}", json=LONG[tool])
        kill(whom(answering(server)))
        return reply.result(60)


def kill_between(server: Server, client: httpx.Client, tool: str, whom: Callable[[int], int]) -> None:
    """Make a short call, and kill what `whom` makes of the process that has answered it."""
    client.post(f"/{tool}", json=SHORT[tool])
    victim = whom(answering(server))
    kill(victim)
    wait_until(lambda: is_dead(victim))


def ask(client: httpx.Client, tool: str = "python") -> httpx.Response:
    arguments = {"python": {"code": "1"}, "bash": {"command": "echo 1"}}
    return client.post(f"/{tool}", json=arguments[tool])


def verdict(client: httpx.Client) -> tuple[float, str | None]:
    body = client.post("/verify", json={**ROW, "response": {}}).json()
    return body["reward"], body.get("failure_kind")


def assert_untouched(client: httpx.Client) -> None:
    assert "1" == client.post("/python", json={"code": "mine"}).json()["result"]
    assert (1.0, None) == verdict(client)


@pytest.mark.parametrize(
    ("tool", "whom", "lost"),
    [
        ("python", itself, {"outcome": "killed", "interpreter_reset": True}),
        ("bash", itself, {"outcome": "ok", "exit_code": 137, "shell_reset": True}),
        ("bash", parent, {"outcome": "killed", "interpreter_reset": True}),
    ],
    ids=["the interpreter", "the shell", "the shell's runner"],
)
@pytest.mark.parametrize("when", ["during a call", "between two calls"])
def test_a_killed_runner_costs_its_own_state_and_one_call(
    server: Server,
    player: httpx.Client,
    bystander: httpx.Client,
    tool: str,
    whom: Callable[[int], int],
    lost: dict[str, Any],
    when: str,
) -> None:
    if when == "during a call":
        reply = kill_during(server, player, tool, whom)
    else:
        kill_between(server, player, tool, whom)
        reply = ask(player, tool)
    assert 200 == reply.status_code
    assert lost.items() <= reply.json().items()
    assert ["ok", "ok"] == [ask(player, tool).json()["outcome"] for tool in ("python", "bash")]
    # It might as well have done that to itself, so it is the session's own affair.
    assert (1.0, None) == verdict(player)
    assert_untouched(bystander)


def test_an_init_killed_during_a_call_is_the_calls_outcome_and_the_sessions_end(
    server: Server, player: httpx.Client, bystander: httpx.Client
) -> None:
    reply = kill_during(server, player, "python", parent)
    assert (200, "killed") == (reply.status_code, reply.json()["outcome"])
    assert (409, "session over (killed)") == (ask(player).status_code, ask(player).json()["detail"][:21])
    assert (1.0, None) == verdict(player)
    assert_untouched(bystander)


def test_an_init_killed_between_two_calls_ends_the_session_with_the_state_that_it_had(
    server: Server, player: httpx.Client, bystander: httpx.Client
) -> None:
    kill_between(server, player, "python", parent)
    wait_until(lambda: ask(player).status_code == 409)  # a call can be quicker than the news
    assert "session over (killed)" == ask(player).json()["detail"][:21]
    assert (1.0, None) == verdict(player)
    assert_untouched(bystander)


@pytest.mark.parametrize("when", ["during a call", "between two calls"])
def test_a_killed_zygote_costs_its_sessions_none_of_which_counts_and_seeds_go_on(
    server: Server, player: httpx.Client, bystander: httpx.Client, when: str
) -> None:
    if when == "during a call":
        assert 503 == kill_during(server, player, "python", grandparent).status_code
    else:
        kill_between(server, player, "python", grandparent)
    for client in (player, bystander):
        wait_until(
            lambda client=client: ask(client).status_code == 503
        )  # a call can be quicker than the news
        assert "through no fault of yours" in ask(client).json()["detail"]
        assert (0.0, "session_lost") == verdict(client)
    with server.client() as client:
        client.post("/seed_session", json=ROW)
        client.post("/python", json=KEEP)
        assert_untouched(client)


@pytest.mark.orphans
def test_a_killed_keeper_costs_nothing(tmp_path: Path) -> None:
    def keeper(pid: int) -> int:
        return parent(grandparent(pid))

    with creche(tmp_path) as server, server.client() as client:
        client.post("/seed_session", json=ROW)
        client.post("/python", json=KEEP)
        kill_between(server, client, "python", keeper)
        assert "1" == ask(client).json()["result"]
        assert (1.0, None) == verdict(client)
        client.post("/seed_session", json=ROW)
        client.post("/python", json=KEEP)
        assert_untouched(client)
        assert 0 == server.stop()
