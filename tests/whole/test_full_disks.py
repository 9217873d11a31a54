"""A disk of the host's that is full: what needs it is refused or left out, and nothing else notices."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from tests.whole.servers import creche
from tests.whole.test_tiers import PYTHON, needs_landlock
from tests.whole.waiting import wait_until

SECRET = "a secret of at least sixteen characters"
ROW: dict[str, Any] = {"responses_create_params": {"input": []}, "expected_files": {"a.txt": "right"}}
pytestmark = pytest.mark.needs_root("to mount a small disk")


@attrs.frozen
class Disk:
    """A small file system that can be filled, down to the last inode, and emptied again."""

    folder: Path

    def fill(self) -> None:
        for size in (1 << 16, 1 << 12, 1, 0):
            with contextlib.suppress(OSError):
                for number in range(1 << 16):
                    (self.folder / f"fill-{size}-{number}").write_bytes(bytes(size))

    def empty(self) -> None:
        for path in self.folder.glob("fill-*"):
            path.unlink()


@pytest.fixture(name="disk")
def _disk() -> Iterator[Disk]:
    folder = Path(tempfile.mkdtemp())  # not below pytest's own folder, which sessions' users may not enter
    folder.chmod(0o755)
    options = "size=4m,nr_inodes=500,mode=1777"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "small", str(folder)], check=True)
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


def play(client: httpx.Client) -> dict[str, Any]:
    """Play a rollout that must be right and return its verdict."""
    client.cookies.clear()
    assert httpx.codes.OK == client.post("/seed_session", json=ROW).status_code
    client.post("/write_file", json={"path": "a.txt", "content": "right"})
    verdict: dict[str, Any] = client.post("/verify", json={**ROW, "response": {"output": []}}).json()
    return verdict


def test_a_server_whose_log_cannot_be_written_serves_on_and_says_later_what_was_lost(disk: Disk) -> None:
    log = disk.folder / "server.log"
    with creche(disk.folder, "--set", "log_format=json") as server, server.client() as client:
        disk.fill()
        assert [1.0] * 30 == [
            play(client)["reward"] for _ in range(30)
        ]  # the last page of the log has room for a few
        written = log.stat().st_size
        disk.empty()
        assert 1.0 == play(client)["reward"]

        def told() -> list[dict[str, Any]]:
            lines = log.read_bytes()[written:].splitlines(keepends=True)
            return [json.loads(line) for line in lines if b"lost" in line and line.endswith(b"\n")]

        wait_until(told)  # a thread of the server's writes it
        assert ["log lines were lost: they could not be written"] == [line["event"] for line in told()]
        assert told()[0]["lost"] >= 30
        assert 0 == server.stop()


def test_a_state_that_cannot_be_kept_costs_no_verdict_and_the_next_one_is_kept(
    tmp_path: Path, disk: Disk
) -> None:
    states = disk.folder / "states"
    with (
        creche(tmp_path, "--set", f"reverify_folder={states}", CRECHE_SECRET=SECRET) as server,
        server.client() as client,
    ):
        disk.fill()
        verdict = play(client)
        assert (1.0, None) == (verdict["reward"], verdict["receipt"]["state"])
        assert "metadata" not in verdict["response"]
        assert [] == list(states.iterdir())
        disk.empty()
        kept = play(client)
        assert kept["receipt"]["state"] is not None
        client.cookies.clear()
        again = client.post("/verify", json={**ROW, "response": kept["response"]}).json()
        assert (1.0, kept["receipt"]["state"]) == (again["reward"], again["receipt"]["state"])


@needs_landlock
def test_sessions_that_find_no_room_for_their_folder_are_masked_and_the_next_ones_live(
    tmp_path: Path, disk: Disk
) -> None:
    arguments = ("--set", "tier=landlock", "--set", "standby=0", *PYTHON)
    with (
        creche(tmp_path, *arguments, TMPDIR=str(disk.folder)) as server,
        server.client() as client,
        server.client() as living,
    ):
        assert httpx.codes.OK == living.post("/seed_session", json=ROW).status_code
        disk.fill()
        verdict = play(client)
        assert (0.0, True, "provider_unavailable") == (
            verdict["reward"],
            verdict["mask_sample"],
            verdict["failure_kind"],
        )
        assert "no folder for a session could be made" in verdict["failure_reason"]
        disk.empty()
        assert 1.0 == play(client)["reward"]
        assert "2\n" == living.post("/python", json={"code": "print(1 + 1)"}).json()["stdout"]
