"""More is asked for than there is: seeds wait in order, and what the machine lacks is no fault of theirs."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.child_server import creche_serve, open_server
from scripts.soaking.census import groups_of
from scripts.soaking.overload import SETTINGS, overload
from server.settings import Settings
from tests.whole.servers import Server, creche
from tests.whole.waiting import in_background, wait_until

SEEDS = 250
ROW: dict[str, Any] = {"expected_files": {}, "files": {"a.txt": "1"}}
UNLIKE_THOSE_ON_STANDBY: dict[str, Any] = {**ROW, "limits": {"call_seconds": 20}}


async def test_seeds_over_the_ceiling_are_answered_in_order_and_hold_up_nothing_else(tmp_path: Path) -> None:
    async with open_server(creche_serve("workbench", *SETTINGS), log=tmp_path / "log") as server:
        seen = await overload(server, SEEDS)
    assert [] == seen.problems(SEEDS)
    assert SEEDS == len(seen.verify_seconds)
    assert seen.resident_peak < seen.resident_before + (64 << 20)


def test_a_seed_that_nobody_has_room_for_in_time_is_masked_and_the_next_is_not(tmp_path: Path) -> None:
    settings = ("--set", "max_sessions=1", "--set", "queue_seconds=1.5")
    with creche(tmp_path, *settings) as server, server.client() as first, server.client() as second:
        first.post("/seed_session", json=ROW)
        assert 200 == second.post("/seed_session", json=ROW).status_code
        assert "provider_unavailable" == verdict(second)
        assert 200 == first.post("/close_session", json=ROW).status_code
        second.post("/seed_session", json=ROW)
        assert verdict(second) is None


def verdict(client: httpx.Client, row: dict[str, Any] | None = None) -> str | None:
    body = client.post("/verify", json={**(row or ROW), "response": {}}).json()
    kind: str | None = body.get("failure_kind")
    return kind


@contextmanager
def no_descriptors_left(server: Server) -> Iterator[None]:
    """Let the server open nothing that it has not open now; whoever is connected already stays so."""
    pid = server.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    # The kernel compares numbers, so everything below the limit that is closed could be opened again.
    taken = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    lowest_free = next(number for number in range(len(taken) + 1) if number not in taken)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_without_descriptors_rollouts_are_masked_and_with_them_all_goes_on(tmp_path: Path) -> None:
    with creche(tmp_path) as server, server.client() as calling, server.client() as seeding:
        calling.post("/seed_session", json=ROW)
        assert "1" == calling.post("/python", json={"code": "1"}).json()["result"]
        # A session that is being started opens and closes more than it has in the end.
        wait_until(lambda: seeding.get("/health").json()["standby"] == Settings().standby)
        with no_descriptors_left(server):
            refused = calling.post("/bash", json={"command": "true"})
            assert 503 == refused.status_code
            assert "through no fault of yours" in refused.json()["detail"]
            assert "1" == calling.post("/python", json={"code": "1"}).json()["result"]
            assert "{}" == seeding.post("/seed_session", json=UNLIKE_THOSE_ON_STANDBY).text
            assert "provider_unavailable" == verdict(seeding, UNLIKE_THOSE_ON_STANDBY)
            thread, answers = in_background(lambda: httpx.get(f"{server.url}/", trust_env=False, timeout=60))
        thread.join()
        assert [200] == [answer.status_code for answer in answers]  # it waited until it could be accepted
        assert 0 == calling.post("/bash", json={"command": "true"}).json()["exit_code"]
        assert "creche:overloaded" == verdict(calling)
        for row in (ROW, UNLIKE_THOSE_ON_STANDBY):
            seeding.post("/seed_session", json=row)
            assert 0 == seeding.post("/bash", json={"command": "true"}).json()["exit_code"]
            assert verdict(seeding, row) is None
        assert 0 == server.stop()


def test_a_session_that_cannot_be_captured_is_masked_and_not_as_one_that_did_not_start(
    tmp_path: Path,
) -> None:
    with creche(tmp_path, "--set", "standby=0") as server, server.client() as client:
        client.post("/seed_session", json=ROW)
        with no_descriptors_left(server):
            assert "creche:overloaded" == verdict(client)
        client.post("/seed_session", json=ROW)
        assert verdict(client) is None
        assert 0 == server.stop()


@pytest.mark.needs_root  # an ordinary user has no control groups here
def test_without_processes_rollouts_are_masked_and_with_them_all_goes_on(tmp_path: Path) -> None:
    with creche(tmp_path, "--set", "standby=0") as server, server.client() as client:
        bounds = [
            group / "pids.max" for group in groups_of(server.process.pid) if (group / "pids.max").exists()
        ]
        assert bounds
        for bound in bounds:
            bound.write_text("1")
        assert "{}" == client.post("/seed_session", json=ROW).text
        assert "provider_unavailable" == verdict(client)
        for bound in bounds:
            bound.write_text("max")
        client.post("/seed_session", json=ROW)
        assert 0 == client.post("/bash", json={"command": "true"}).json()["exit_code"]
        assert verdict(client) is None
        assert 0 == server.stop()
