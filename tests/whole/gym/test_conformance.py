"""NeMo Gym's own check of how a resources server keeps sessions."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.whole.gym.home import Home, needs_nemo_gym, script
from tests.whole.servers import creche

pytestmark = needs_nemo_gym


def test_sessions_conform(gym: Home, tmp_path: Path) -> None:
    with creche(tmp_path, "example_session_state_mgmt") as server:
        command = [gym.python, script("conforming.py"), server.url]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=170)
    assert (0, "conforms\n") == (done.returncode, done.stdout), done.stderr
