"""NeMo Gym's unmodified agents against a real server, in both generations of the protocol."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.receipts.checking import Word, check
from server.receipts.keys import HmacKey
from tests.whole.gym.agents import Runner, open_runners, outputs
from tests.whole.gym.home import Home, needs_nemo_gym
from tests.whole.gym.model import open_model, script
from tests.whole.gym.switch import Switch, open_switch
from tests.whole.servers import Server, creche
from tests.whole.waiting import wait_until

pytestmark = needs_nemo_gym

COUNTING = f"{Path(__file__).parent / 'counting.py'}:Counting"
# Of 32 rollouts at once each call must keep to the deadline, beside all that runs on the machine meanwhile.
SETTINGS = ("--set", "limits.call_seconds=5", "--set", "secret=known to the tests only")


def row(expected: int, *turns: Any, initial: int = 3) -> dict[str, Any]:
    return {
        "responses_create_params": script(*turns),
        "initial_count": initial,
        "expected_count": expected,
        "verifier_metadata": {"kept": [1.0, None]},
        "_ng_task_index": 0,
        "_ng_rollout_index": 0,
    }


def add(count: Any) -> tuple[str, Any]:
    return ("increment_counter", {"count": count})


LOOK: tuple[str, Any] = ("get_counter_value", {})


@pytest.fixture(name="switch", scope="module")
def _switch() -> Iterator[Switch]:
    with open_switch() as switch:
        yield switch


@pytest.fixture(name="runners", scope="module")
def _runners(gym: Home, switch: Switch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Runner]]:
    folder = tmp_path_factory.mktemp("gym")
    with open_model() as model, open_runners(gym, folder, switch.port, model) as runners:
        yield runners


@pytest.fixture(name="server")
def _server(switch: Switch, tmp_path: Path) -> Iterator[Server]:
    with creche(tmp_path, COUNTING, *SETTINGS) as server:
        switch.target, switch.breaks_every, switch.broken = server.url, 0, 0
        yield server
        switch.target = None


@pytest.fixture(name="runner", params=["simple_agent", "environment_server"])
def _runner(request: pytest.FixtureRequest, runners: list[Runner], server: Server) -> Runner:
    agent, environment_server = runners
    return agent if request.param == "simple_agent" else environment_server


@pytest.mark.usefixtures("server")
def test_rollouts_of_every_kind(runner: Runner) -> None:
    """One server for all of them: what one leaves behind, the next would meet."""
    played = runner.run(row(6, [add(1)], [add(2)], [LOOK], "six"))
    assert ['{"success":true}', '{"success":true}', '{"count":6}'] == outputs(played)
    assert (1.0, {"kept": [1.0, None]}) == (played["reward"], played["verifier_metadata"])

    played = runner.run(row(6, [add(1), add(2)], [LOOK, LOOK], "two at a time"))
    assert (1.0, '{"count":6}') == (played["reward"], outputs(played)[3])

    played = runner.run(row(3, [("increment_counter", '{"count": 1')], [LOOK], "bad JSON"))
    assert 1.0 == played["reward"]
    assert "Invalid tool call arguments" in outputs(played)[0]

    for arguments in ("null", "[1]", '"s"', "{}"):
        played = runner.run(
            row(3, [("increment_counter", arguments)], [("get_counter_value", "null")], "odd")
        )
        refused, count = outputs(played)
        assert (1.0, '{"count":3}') == (played["reward"], count)
        assert {"detail"} == json.loads(refused).keys()

    played = runner.run(row(4, [("explode", {})], [("dawdle", {"seconds": 20})], [add(1)], "all went wrong"))
    exploded, timed_out, _ = map(json.loads, outputs(played))
    assert ("error", "RuntimeError: boom") == (exploded["outcome"], exploded["error"])
    assert (1.0, "timeout") == (played["reward"], timed_out["outcome"])

    played = runner.run(row(7, [add(1)], [LOOK], "wrong"))
    assert (0.0, None) == (played["reward"], played.get("failure_kind"))


@pytest.mark.usefixtures("server")
def test_a_model_cannot_reach_the_protocol(runner: Runner) -> None:
    names = (
        "nothing",
        "verify",
        "seed_session",
        "close_session",
        "aggregate_metrics",
        "reset",
        "step",
        "close",
    )
    ids = {"resources_session_id": "guessed", "episode_id": {"rollout_id": "0-0", "attempt": 0}}
    bodies: list[dict[str, Any]] = [
        {},
        {"response": {"output": []}, "expected_count": 0},
        {"verify_responses": []},
        ids | {"task_id": {"taskset": "t", "task_id": "0"}, "task_data": {}},
    ]
    protocol = [(name, body) for name in names for body in bodies] + [("close_session", ids)]
    paths = [(name, bodies[0]) for name in ("../nothing", "increment_counter/", "tools%2Fx")]
    played = runner.run(row(4, [add(1)], protocol, paths, [LOOK], "out of reach"))
    assert '{"count":4}' == outputs(played)[-1]
    assert 1.0 == played["reward"]
    for answer in outputs(played)[1:-1]:
        assert {"detail"} == json.loads(answer).keys()
    # An agent joins addresses as a browser does, so these are the same tool by another name.
    played = runner.run(
        row(5, [("../increment_counter", {"count": 1}), ("increment_counter?a=1#f", {"count": 1})], "x")
    )
    assert 1.0 == played["reward"]


def test_no_call_is_executed_twice_when_connections_break(runner: Runner, switch: Switch) -> None:
    switch.breaks_every = 3
    calls = [add(1)] * 4 + [LOOK]
    assert 1.0 == runner.run(row(7, calls, "seven"))["reward"]
    assert switch.broken >= 2


def test_thirty_two_rollouts_at_once(runner: Runner, server: Server) -> None:
    def play(number: int) -> float:
        mine = row(number + 3, [add(number)], [add(1), add(2)], [LOOK], "all", initial=0)
        reward: float = runner.run(mine, _ng_task_index=number)["reward"]
        return reward

    with ThreadPoolExecutor(32) as pool:
        assert [1.0] * 32 == list(pool.map(play, range(32)))
    with server.client() as client:
        assert 0 == client.get("/health").json()["sessions"]["live"]


@pytest.mark.orphans
@pytest.mark.parametrize("which", [0, 1], ids=["simple_agent", "environment_server"])
def test_a_server_killed_in_mid_rollout_is_a_masked_failure(
    runners: list[Runner], which: int, switch: Switch, tmp_path: Path
) -> None:
    played: list[dict[str, Any]] = []
    (tmp_path / "first").mkdir()
    with creche(tmp_path / "first", COUNTING, *SETTINGS) as server:
        switch.target, switch.breaks_every = server.url, 0
        switch.begun.clear()
        turns = ([add(1)], [("dawdle", {"seconds": 4})], [add(2)], "six")
        thread = threading.Thread(target=lambda: played.append(runners[which].run(row(6, *turns))))
        thread.start()
        # A session that lives is not enough: who has not heard of it seeds another one.
        wait_until(lambda: [path for path in switch.begun if path.endswith("/dawdle")])
        switch.target = None
        server.cut_off()
    with creche(tmp_path, COUNTING, *SETTINGS) as server:
        switch.target = server.url
        thread.join()
    (rollout,) = played
    assert (0.0, True) == (rollout["reward"], rollout["mask_sample"])
    assert rollout["failure_kind"] == rollout["_ng_failure_class"] == "session_expired"
    assert any("no session" in output for output in outputs(rollout))


@pytest.mark.usefixtures("server")
def test_the_agent_hands_the_report_through(runners: list[Runner]) -> None:
    replies = [{"_ng_task_index": task, "_ng_rollout_index": 0, "reward": task} for task in (0, 1)]
    for runner in runners:
        made = httpx.post(f"{runner.url}/aggregate_metrics", json={"verify_responses": replies}, timeout=60)
        assert 0.5 == made.json()["key_metrics"]["mean/reward"]


@pytest.mark.usefixtures("server")
def test_the_receipt_of_a_stored_rollout_agrees_with_it(runner: Runner) -> None:
    played = runner.run(row(4, [add(1)], "four"))
    key = HmacKey("known to the tests only")
    assert set() == {f.word for f in check(played, [key])} - {Word.AGREES, Word.ADDED, Word.RELAYED}
    played["responses_create_params"]["input"][0]["content"] = "another task"
    assert Word.CHANGED in {f.word for f in check(played, [key])}
