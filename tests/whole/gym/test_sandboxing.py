"""Our sandboxes as NeMo Gym uses them: found by their entry point, driven by its own `AsyncSandbox`."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import httpx
import pytest

from tests.whole.gym.home import Home, needs_nemo_gym, script
from tests.whole.gym.joint import install_creche
from tests.whole.servers import creche

pytestmark = needs_nemo_gym

TOKEN = "a-token-of-the-tests"


@pytest.fixture(name="told", scope="module")
def _told(gym: Home, tmp_path_factory: pytest.TempPathFactory) -> Any:
    install_creche(gym)
    with creche(tmp_path_factory.mktemp("server"), CRECHE_SANDBOX_TOKEN=TOKEN) as server:
        before = httpx.get(f"{server.url}/health").json()["sandboxes"]
        command = [gym.python, script("sandboxing.py"), server.url, TOKEN]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)
        assert 0 == done.returncode, done.stderr
        told = json.loads(done.stdout)
        told["left"] = httpx.get(f"{server.url}/health").json()["sandboxes"] - before
        return told


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (
            "image",
            "SandboxCreateError: a creche sandbox has no image such as 'python:3.12' (unless any_image",
        ),
        ("gpu", "SandboxCreateError: a creche sandbox has no GPU"),
        ("memory", "memory_bytes: may only be lowered"),
        ("ttl", "limits.session_seconds"),
        ("token", "401"),
        ("any_image", "it started"),
    ],
)
def test_what_a_spec_cannot_have_is_told(told: Any, case: str, words: str) -> None:
    assert words in told["errors"][case]


def test_commands_give_what_other_providers_give(told: Any) -> None:
    first, second, third = told["exec"]
    assert told["is_listed"]
    assert ("/workspace/repo\n12\none\ntwo\n", "", 0, None) == tuple(first.values())
    assert ("", "err\n", 3, None) == tuple(second.values())
    assert ("before\n", 125, "timeout") == (third["stdout"], third["return_code"], third["error_type"])


def test_files_the_interpreter_and_a_second_client_meet_in_one_sandbox(told: Any) -> None:
    assert told["is_same"]
    assert "42" == told["python"]
    assert "one\n" == told["connected"]
    assert TOKEN not in json.dumps(told["descriptor"])


def test_a_stopped_sandbox_is_gone_and_says_so(told: Any) -> None:
    assert ["running", "stopped"] == told["status"]
    assert (125, "sandbox") == (told["after"]["return_code"], told["after"]["error_type"])
    assert "is not running but stopped" in told["connect_after"]
    assert 0 == told["left"]
