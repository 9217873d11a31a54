"""NeMo Gym's unmodified gymnasium_agent against a real server, and against NeMo Gym's own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.whole.gym.agents import Runner, open_gymnasium, outputs
from tests.whole.gym.home import Home, needs_nemo_gym
from tests.whole.gym.model import open_model, script
from tests.whole.gym.switch import Switch, open_switch
from tests.whole.gym.test_rollouts import COUNTING, LOOK, SETTINGS, add, row
from tests.whole.servers import Server, creche
from tests.whole.waiting import wait_until

pytestmark = needs_nemo_gym

OWN = "example_multi_turn_gymnasium"
MAX_STEPS = 6


@pytest.fixture(name="switch", scope="module")
def _switch() -> Iterator[Switch]:
    with open_switch() as switch:
        yield switch


@pytest.fixture(name="parties", scope="module")
def _parties(
    gym: Home, switch: Switch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Runner, str]]:
    folder = tmp_path_factory.mktemp("gym")
    with (
        open_model() as model,
        open_gymnasium(gym, folder, switch.port, model, OWN, MAX_STEPS) as parties,
    ):
        yield parties


@pytest.fixture(name="agent")
def _agent(parties: tuple[Runner, str]) -> Runner:
    return parties[0]


@pytest.fixture(name="server")
def _server(switch: Switch, tmp_path: Path) -> Iterator[Server]:
    with creche(tmp_path, COUNTING, *SETTINGS) as server:
        switch.target, switch.breaks_every, switch.broken = server.url, 0, 0
        yield server
        switch.target = None


def live(server: Server) -> int:
    with server.client() as client:
        count: int = client.get("/health").json()["sessions"]["live"]
        return count


def test_a_dialogue_is_the_same_as_with_nemo_gyms_own_server(
    gym: Home, parties: tuple[Runner, str], switch: Switch, tmp_path: Path
) -> None:
    agent, theirs = parties
    rows = (gym.packages / f"resources_servers/{OWN}/data/example.jsonl").read_text().splitlines()
    played: dict[str, list[Any]] = {}
    with creche(tmp_path, OWN) as server:
        for url in (server.url, theirs):
            switch.target = url
            played[url] = []
            for line in rows:
                asked = json.loads(line)
                count = len(asked["follow_ups"])
                for last in (f"it is the {asked['expected_answer']}", "no idea"):
                    said = [f"answer {number}" for number in range(count)]
                    rollout = agent.run({**asked, "responses_create_params": script(*said, last)})
                    texts = [item["content"] for item in rollout["response"]["output"]]
                    said_texts = [text if isinstance(text, str) else text[0]["text"] for text in texts]
                    ended = (rollout["reward"], rollout["terminated"], rollout["truncated"])
                    played[url].append((ended, said_texts))
        assert 0 == live(server)
    assert [(1.0, True, False), (0.0, True, False)] * len(rows) == [ended for ended, _ in played[theirs]]
    assert played[theirs] == played[server.url]


def test_tools_are_called_and_the_final_state_is_judged(agent: Runner, server: Server) -> None:
    wrong = [("increment_counter", '{"count": 1'), ("nothing", {}), ("explode", {})]
    played = agent.run(row(6, [add(1), add(1)], wrong, [add(1), LOOK], "six"))
    shown = outputs(played)
    assert (1.0, True, False) == (played["reward"], played["terminated"], played["truncated"])
    assert ['{"success":true}', '{"count":6}'] == [shown[1], shown[-1]]
    assert "not JSON" in shown[2]
    assert {"detail": "Not Found"} == json.loads(shown[3])
    assert "RuntimeError: boom" in shown[4]
    assert (1.0, "full") == (played["info"]["receipt"]["reward"], played["info"]["tier"])
    assert 0.0 == agent.run(row(7, [add(1)], "wrong"))["reward"]
    assert 0 == live(server)


def test_no_step_is_taken_twice_when_connections_break(agent: Runner, switch: Switch, server: Server) -> None:
    switch.breaks_every = 3
    played = agent.run(row(8, [add(1)], [add(1)], [add(1), add(1)], [add(1), LOOK], "eight"))
    assert (1.0, '{"count":8}') == (played["reward"], outputs(played)[-1])
    assert switch.broken >= 2
    switch.breaks_every = 0
    assert 0 == live(server)


def test_no_step_is_taken_twice_when_replies_are_lost_that_were_sent(
    agent: Runner, switch: Switch, server: Server
) -> None:
    switch.loses = "/step"
    played = agent.run(row(8, [add(1)], [add(1)], [add(1), add(1)], [add(1), LOOK], "eight"))
    switch.loses = ""
    assert (1.0, '{"count":8}') == (played["reward"], outputs(played)[-1])
    assert switch.lost >= 2
    assert 0 == live(server)


def test_an_agent_that_stops_early_leaves_no_session(agent: Runner, server: Server) -> None:
    played = agent.run(row(3, *[[add(1)]] * (MAX_STEPS + 1), "never"))
    assert (0.0, False, True) == (played["reward"], played["terminated"], played["truncated"])
    assert 0 == live(server)


def test_sixteen_episodes_at_once(agent: Runner, server: Server) -> None:
    def play(number: int) -> float:
        mine = row(number + 3, [add(number)], [add(1), add(2)], "all", initial=0)
        reward: float = agent.run(mine, _ng_task_index=number)["reward"]
        return reward

    with ThreadPoolExecutor(16) as pool:
        assert [1.0] * 16 == list(pool.map(play, range(16)))
    assert 0 == live(server)


@pytest.mark.orphans
def test_a_server_killed_in_mid_episode_is_a_failure_and_no_reward(
    agent: Runner, switch: Switch, tmp_path: Path
) -> None:
    replies: list[httpx.Response] = []
    turns = ([add(1)], [("dawdle", {"seconds": 4})], [add(2)], "six")

    def play() -> None:
        replies.append(httpx.post(f"{agent.url}/run", json=row(6, *turns), timeout=150))

    (tmp_path / "first").mkdir()
    with creche(tmp_path / "first", COUNTING, *SETTINGS) as server:
        switch.target, switch.breaks_every = server.url, 0
        switch.begun.clear()
        thread = threading.Thread(target=play)
        thread.start()
        # The second step dawdles. With the first one the agent has heard of the session: it resets no other.
        wait_until(lambda: len([path for path in switch.begun if path.endswith("/step")]) == 2)
        switch.target = None
        server.cut_off()
    with creche(tmp_path, COUNTING, *SETTINGS) as server:
        switch.target = server.url
        thread.join()
    (reply,) = replies
    assert 500 == reply.status_code  # `gym eval run` can be told to list it among the failures
    assert "reward" not in reply.text
