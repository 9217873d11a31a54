"""SIGKILL for a busy server: nothing survives, and the next start is clean."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from scripts.soaking.kills import kill_servers, problems
from tests import leaks

KILLS = 5


@pytest.mark.orphans
async def test_a_server_killed_in_the_middle_of_a_soak_leaves_nothing(tmp_path: Path) -> None:
    temporary = Path(tempfile.mkdtemp(prefix="soak-"))
    kills = await kill_servers(
        KILLS, temporary, tmp_path / "log", seed=1, clients=24, mounts=lambda: leaks.take().mounts
    )
    assert [] == problems(kills, gone_seconds=20.0)  # others are tested meanwhile
    assert KILLS == len(kills)
    assert min(kill.alive for kill in kills) > 2  # not before there was anything to kill
