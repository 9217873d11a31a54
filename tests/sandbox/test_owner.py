"""What a server made belongs to it for as long as it lives, and to nobody afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from sandbox import owner

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import os, sys
from sandbox import owner
held = owner.make(sys.argv[1])
if "child" in sys.argv and os.fork():
    os._exit(0)
print(os.getpid(), flush=True)
sys.stdin.read()
"""
"""Makes a folder and holds it until its input ends; as a child of what was started, if it is so told."""

DEAD = 2**22 + 1
"""A pid above the highest that a kernel gives."""


def start(path: Path, *how: str) -> tuple[subprocess.Popen[bytes], int]:
    """Return what was started, and the number of the process that holds the folder."""
    command = [sys.executable, "-P", "-c", HOLD, str(path), *how]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert started.stdout is not None
    return started, int(started.stdout.readline())


@pytest.mark.parametrize("name", [f"creche-{DEAD}-a1", f"creche-{os.getpid()}-a2"], ids=["dead", "living"])
@pytest.mark.parametrize("how", ["", pytest.param("child", marks=pytest.mark.orphans)])
def test_whether_somebody_holds_it_counts_and_not_whose_number_its_name_has(
    tmp_path: Path, name: str, how: str
) -> None:
    started, holder = start(tmp_path / name, how)
    with started:
        assert [] == list(owner.abandoned(str(tmp_path)))
        assert (tmp_path / name).is_dir()
        started.communicate()
    if holder != started.pid:
        os.waitpid(holder, 0)  # an orphan, and so ours: what it printed to is closed before what it holds
    assert [str(tmp_path / name)] == list(owner.abandoned(str(tmp_path)))


def test_what_is_named_otherwise_or_is_no_folder_belongs_to_somebody_else(tmp_path: Path) -> None:
    for name in ("creche-server", "creche-1-test", "user.slice", "creche-7", "x-creche-1-a"):
        (tmp_path / name).mkdir()
    (tmp_path / "creche-1-a").touch()
    (tmp_path / "creche-1-b").symlink_to(tmp_path / "creche-server")
    assert [] == list(owner.abandoned(str(tmp_path)))


def test_what_one_removes_another_that_sweeps_at_once_does_not_stumble_over(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"creche-{DEAD}-{number}").mkdir()
    failed: list[OSError] = []

    def sweep() -> None:
        try:
            for path in owner.abandoned(str(tmp_path)):
                os.rmdir(path)  # noqa: PTH106 - as the sweeps do
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=sweep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ([], []) == (failed, list(tmp_path.iterdir()))


def test_what_is_made_while_others_sweep_is_there_and_held(tmp_path: Path) -> None:
    over = threading.Event()

    def sweep() -> None:
        while not over.is_set():
            for path in owner.abandoned(str(tmp_path)):
                os.rmdir(path)  # noqa: PTH106 - as the sweeps do

    thread = threading.Thread(target=sweep)
    thread.start()
    try:
        for _ in range(300):
            path = tmp_path / owner.new_name()
            held = owner.make(str(path))
            assert path.stat().st_ino == os.fstat(held).st_ino
            assert 0o755 == path.stat().st_mode & 0o777
            path.rmdir()
            os.close(held)
    finally:
        over.set()
        thread.join()
