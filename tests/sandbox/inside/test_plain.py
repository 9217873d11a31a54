"""Removing a hostile folder, and ending a family without a namespace."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.inside.plain import _open_folder, count_processes_of, remove_tree


def deep(top: Path) -> None:
    folder = os.open(top, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d" * 200, dir_fd=folder)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)


def closed(top: Path) -> None:
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "b" / "file").write_text("x")
    (top / "a" / "b").chmod(0)
    (top / "a").chmod(0)
    top.chmod(0)


def foretold(top: Path) -> None:
    for number in range(1, 9):
        (top / f".moved-{os.getpid()}-{number}" / "keep").mkdir(parents=True)


def odd(top: Path) -> None:
    os.mkfifo(top / "fifo")
    (top / "link").symlink_to("/etc")
    (top / "broken").symlink_to("nowhere")
    (top / "dir").mkdir()
    (top / "dir" / "out").symlink_to(top.parent)
    Path(os.fsdecode(os.fsencode(top) + b"/\xff\n")).mkdir()


@pytest.mark.parametrize("fill", [deep, closed, foretold, odd])
def test_a_hostile_folder_is_removed_and_nothing_beside_it(fill: object, tmp_path: Path) -> None:
    assert callable(fill)
    top, beside = tmp_path / "top", tmp_path / "beside"
    top.mkdir()
    beside.write_text("x")
    fill(top)
    before = sorted(Path("/etc").iterdir())
    remove_tree(str(top))
    assert not top.exists()
    assert "x" == beside.read_text()
    assert before == sorted(Path("/etc").iterdir())


def test_a_folder_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    remove_tree(str(tmp_path / "nothing"))


def test_a_link_in_a_folders_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        remove_tree(str(tmp_path / "link"))
    assert (tmp_path / "real" / "file").exists()


_SWAP = """
import os, sys
os.chdir(sys.argv[1])
os.symlink(sys.argv[2], "link")
os.mkdir("folder", 0o077)
print(flush=True)
import ctypes
exchange = ctypes.CDLL(None).renameat2
while True:
    exchange(-100, b"link", -100, b"folder", 2)
"""


def test_a_folder_that_becomes_a_link_at_the_wrong_moment_gives_no_other_file_another_mode(
    tmp_path: Path,
) -> None:
    victim = tmp_path / "victim"
    victim.touch(0o600)
    top = tmp_path / "top"
    top.mkdir()
    with subprocess.Popen([sys.executable, "-c", _SWAP, top, victim], stdout=subprocess.PIPE) as swapping:
        assert swapping.stdout is not None
        swapping.stdout.readline()
        folder = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
        opened = 0
        while opened < 2000 and victim.stat().st_mode & 0o777 == 0o600:
            with contextlib.suppress(OSError):
                found = _open_folder(folder, "folder")
                os.fchmod(found, 0o077)
                os.close(found)
            opened += 1
        os.close(folder)
        swapping.kill()
    assert 0o600 == victim.stat().st_mode & 0o777
    remove_tree(str(top))
    assert not top.exists()


def test_processes_are_counted_with_their_threads() -> None:
    before = count_processes_of(os.geteuid())
    code = "import threading; threading.Thread(target=input).start()"
    with subprocess.Popen([sys.executable, "-c", f"print(1, flush=True); {code}"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as child:  # fmt: skip
        assert child.stdout is not None
        child.stdout.readline()
        assert count_processes_of(os.geteuid()) >= 1
        child.communicate(b"\n")
    assert before >= 1
