"""Requests made at random: each is answered, none with a 5xx, and nothing is left of any."""

from __future__ import annotations

import tempfile
from pathlib import Path

from scripts.child_server import creche_serve, open_server
from scripts.soaking.fuzz import SETTINGS, fuzz

REQUESTS = 500


async def test_no_request_made_at_random_is_an_accident(tmp_path: Path) -> None:
    temporary, log = Path(tempfile.mkdtemp(prefix="soak-")), tmp_path / "log"
    async with open_server(creche_serve("workbench", *SETTINGS), temporary=temporary, log=log) as server:
        seen = await fuzz(server, temporary, REQUESTS, 1)
    assert [] == seen.problems(log)
    assert REQUESTS <= sum(seen.statuses.values())
    assert {200, 400, 404, 405, 422} <= set(seen.statuses)
