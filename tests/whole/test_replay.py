"""Recorded rollouts played again, with the command that users have for it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.environments.conftest import GYM
from tests.whole.servers import Server, creche

WORDS = "copy a to b"
ROW: dict[str, Any] = {
    "responses_create_params": {"input": [{"role": "user", "content": WORDS}]},
    "files": {"a.txt": "a"},
    "expected_files": {"b.txt": "a"},
}
CALL = {
    "type": "function_call",
    "name": "bash",
    "call_id": "1",
    "arguments": json.dumps({"command": "cp a.txt b.txt"}),
}
OUTPUT = {
    "type": "function_call_output",
    "call_id": "1",
    "output": json.dumps({"outcome": "ok", "stdout": "", "stderr": "", "exit_code": 0}),
}
BROKEN = {"type": "function_call", "name": "bash", "call_id": "2", "arguments": "{"}
UNKNOWN = {"type": "function_call", "name": "nothing", "call_id": "3", "arguments": "{}"}


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with creche(tmp_path_factory.mktemp("server")) as server:
        yield server


def replay(*arguments: object) -> tuple[int, str]:
    command = [sys.executable, "-P", "-m", "scripts.replaying", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr


def write(path: Path, *lines: Any) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def rollout(reward: float, *items: Any, **more: Any) -> dict[str, Any]:
    return {**ROW, "response": {"output": items}, "reward": reward, **more}


def test_what_is_no_rollout_file_is_told_in_one_sentence(tmp_path: Path) -> None:
    for path, words in (
        (tmp_path / "none.jsonl", "cannot be read"),
        (write(tmp_path / "row.jsonl", ROW), "line 1: no rollout"),
        (write(tmp_path / "list.jsonl", []), "line 1: not an object"),
        (write(tmp_path / "other.jsonl", rollout(1)), "names no environment"),
    ):
        status, told = replay(path)
        assert 2 == status
        assert words in told
        assert 1 == told.count("\n"), told


def test_a_reward_that_differs_is_told_and_fails(tmp_path: Path, server: Server) -> None:
    path = write(tmp_path / "rollouts.jsonl", rollout(1.0, CALL, OUTPUT), rollout(1.0))
    status, told = replay(path, "--url", server.url)
    assert 1 == status
    assert "1 of 2 rollouts agree" in told
    assert 1 == told.count("differs")


def test_what_cannot_be_compared_counts_for_nothing(tmp_path: Path, server: Server) -> None:
    failed = rollout(0.0, CALL, OUTPUT, mask_sample=True)
    nowhere = {"responses_create_params": {"input": "else"}, "response": {}, "reward": 1.0}
    write(tmp_path / "some.jsonl", ROW)
    path = write(tmp_path / "some.rollouts.jsonl", failed, nowhere)
    status, told = replay(path, "--url", server.url)
    assert 1 == status
    assert "0 of 0 rollouts agree" in told
    assert "recorded as" in told


def test_a_row_is_found_in_the_data_set_beside_its_rollout(tmp_path: Path, server: Server) -> None:
    params = {"responses_create_params": ROW["responses_create_params"]}
    write(tmp_path / "some.jsonl", ROW)
    recorded = {**params, "response": {"output": [BROKEN, UNKNOWN, CALL, OUTPUT]}, "reward": 1.0}
    status, told = replay(write(tmp_path / "some.rollouts.jsonl", recorded), "--url", server.url)
    assert (0, True) == (status, "1 of 1 rollouts agree" in told)


@pytest.mark.skipif(not GYM.is_dir(), reason=f"NeMo Gym's recorded data is not at {GYM}")
@pytest.mark.parametrize(
    ("name", "environment", "agree"),
    [
        ("session_state", "example_session_state_mgmt", "5 of 5"),
        ("multi_step", "example_multi_step", "2 of 2"),
        ("math_with_code", "math_with_code", "5 of 5"),
        ("code_gen", "code_gen", "2 of 2"),  # the row of the third is in neither file
    ],
)
def test_recorded_rollouts_agree_on_a_server_of_their_own(name: str, environment: str, agree: str) -> None:
    status, told = replay(GYM / f"{name}.rollouts.jsonl")
    assert 0 == status, told
    assert f"starting creche serve {environment}" in told
    assert f"{agree} rollouts agree" in told
