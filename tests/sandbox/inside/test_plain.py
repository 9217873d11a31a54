"""Removing a hostile folder, and ending a family without a namespace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.inside.plain import count_processes_of, remove_tree


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


def odd(top: Path) -> None:
    os.mkfifo(top / "fifo")
    (top / "link").symlink_to("/etc")
    (top / "broken").symlink_to("nowhere")
    (top / "dir").mkdir()
    (top / "dir" / "out").symlink_to(top.parent)
    Path(os.fsdecode(os.fsencode(top) + b"/\xff\n")).mkdir()


@pytest.mark.parametrize("fill", [deep, closed, odd])
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
