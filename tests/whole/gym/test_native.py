"""The app.py that ``creche gym init`` writes, started as NeMo Gym starts it."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.whole.gym.home import Home, needs_nemo_gym
from tests.whole.servers import BIN, creche, reserved_port, started, wait_for_line

pytestmark = needs_nemo_gym

CONFIGURATION = """
policy_api_key: sk-very-secret
counter:
  resources_servers:
    counter:
      entrypoint: app.py
      host: 127.0.0.1
      port: {port}
      creche: {creche}
      environment: example_session_state_mgmt
      settings: {{standby: 1, limits: {{call_seconds: 9}}}}
      judge_model_server: {{type: responses_api_models, name: judge_model}}
judge_model:
  responses_api_models:
    openai_model:
      host: 127.0.0.1
      port: 4321
      openai_api_key: ${{policy_api_key}}
      openai_model: wise
"""


def test_it_becomes_creche_and_leaves_the_secrets_behind(gym: Home, tmp_path: Path) -> None:
    environment = ["--environment", "example_session_state_mgmt", "--name", "counter"]
    subprocess.run([BIN / "creche", "gym", "init", tmp_path, *environment], check=True, timeout=120)
    app = tmp_path / "resources_servers" / "counter" / "app.py"
    log = tmp_path / "server.log"
    with contextlib.ExitStack() as opened:
        port = opened.enter_context(reserved_port())
        environ = {
            "NEMO_GYM_CONFIG_DICT": CONFIGURATION.format(port=port, creche=BIN / "creche"),
            "NEMO_GYM_CONFIG_PATH": "counter",
        }
        process = opened.enter_context(started([gym.python, str(app)], log, **environ))
        url = wait_for_line(process, log, r"creche: \w+ ready on (http://\S+) ")
        assert f"http://127.0.0.1:{port}" == url
        assert "example_session_state_mgmt" == httpx.get(f"{url}/health").json()["environment"]
        seen = Path(f"/proc/{process.pid}/environ").read_bytes()
        assert b"NEMO_GYM_CONFIG" not in seen
        assert b"sk-very-secret" not in seen
        assert not [name for name in open_files(process.pid) if "configuration" in name]


def test_the_shim_lives_as_long_as_the_server_that_it_stands_for(gym: Home, tmp_path: Path) -> None:
    environment = ["--environment", "example_session_state_mgmt", "--name", "counter"]
    subprocess.run([BIN / "creche", "gym", "init", tmp_path, *environment], check=True, timeout=120)
    shim = tmp_path / "resources_servers" / "counter" / "shim.py"
    text = shim.read_text()
    assert "PAUSE_SECONDS = 5\n" in text
    shim.write_text(text.replace("PAUSE_SECONDS = 5\n", "PAUSE_SECONDS = 0.4\n"))
    with creche(tmp_path, "example_session_state_mgmt") as server:
        port = server.url.rpartition(":")[2]
        environ = {
            "NEMO_GYM_CONFIG_DICT": CONFIGURATION.format(port=port, creche=BIN / "creche"),
            "NEMO_GYM_CONFIG_PATH": "counter",
        }
        log = tmp_path / "shim.log"
        with started([gym.python, str(shim)], log, **environ) as process:
            far_beyond_its_patience = time.monotonic() + 4
            while time.monotonic() < far_beyond_its_patience:
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            assert 0 == server.stop()
            assert 1 == process.wait(60)
    assert f"{server.url}/healthz has not answered" in log.read_text()


def open_files(pid: int) -> Iterator[str]:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
            yield str(link.readlink())
