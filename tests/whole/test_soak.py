"""Sessions used and left in every way, many at once: each ends as it must, and nothing is left of any."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from scripts.child_server import creche_serve, open_server
from scripts.soaking.scenarios import SCENARIOS
from scripts.soaking.soak import SETTINGS, choose, soak

SESSIONS = 2000 if os.geteuid() == 0 else 300
"""An ordinary user's run, which is at the same time as root's, is for what differs there."""


@pytest.fixture(name="temporary")
def _temporary() -> Path:
    # Not below pytest's own folder for this test: the server's log is there.
    return Path(tempfile.mkdtemp(prefix="soak-"))


async def test_after_a_soak_everything_is_back_at_the_baseline(tmp_path: Path, temporary: Path) -> None:
    command = creche_serve("workbench", *SETTINGS)
    async with open_server(command, temporary=temporary, log=tmp_path / "log") as server:
        result = await soak(server, temporary, sessions=SESSIONS, seed=1, clients=32)
    assert [] == result.problems()
    assert SESSIONS == sum(result.tally.played.values())
    assert 0 == server.status
    log = (tmp_path / "log").read_text()
    assert ("Traceback" in log, "incident" in log) == (False, False), log


def test_a_soak_is_decided_by_its_seed_alone() -> None:
    chosen = [[choose(seed, number)[0].name for number in range(500)] for seed in (1, 1, 2)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert {scenario.name for scenario in SCENARIOS} == set(chosen[0])
