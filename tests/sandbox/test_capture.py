"""Hostile trees, first as they are (an ordinary directory), then as a session left them."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
import tracemalloc
from hashlib import sha256
from pathlib import Path

import attrs
import pytest

from sandbox.capture import MAX_DEPTH, MAX_REJECTED, MAX_REJECTED_PATH, capture_tree
from sandbox.final_state import CapturedFile
from sandbox.limits import Limits
from tests.sandbox.faults import open_descriptors

SECRET = b"nobody in a sandbox may read this"


@pytest.fixture(name="top")
def _top(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "inner").write_bytes(SECRET)
    (tmp_path / "workspace").mkdir()
    return tmp_path / "workspace"


@attrs.frozen
class Found:
    files: dict[str, CapturedFile]
    rejected: dict[str, str]


def capture(top: Path, limits: Limits | None = None) -> Found:
    tree = os.open(top.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        files, rejected = capture_tree(tree, os.fsencode(top.name), limits or Limits())
    finally:
        os.close(tree)
    assert not any(SECRET in file.data for file in files.values())
    assert list(files) == sorted(files)
    assert [entry.path for entry in rejected] == sorted(entry.path for entry in rejected)
    return Found(files, {entry.path: entry.reason for entry in rejected})


@pytest.mark.parametrize(
    "target", ["../secret", "/etc/passwd", "/proc/self/environ", "/dev/zero", "nowhere", ".", "link"]
)
def test_a_symbolic_link_is_rejected_wherever_it_leads(top: Path, target: str) -> None:
    (top / "link").symlink_to(target)
    assert Found({}, {"link": "symbolic link"}) == capture(top)


def test_a_link_to_a_directory_is_not_entered(top: Path) -> None:
    (top / "link").symlink_to(top.parent / "outside")
    (top / "around").symlink_to(top)
    assert Found({}, {"around": "symbolic link", "link": "symbolic link"}) == capture(top)


def test_a_top_that_is_a_link_is_not_followed(top: Path) -> None:
    top.rmdir()
    top.symlink_to(top.parent / "outside")
    assert Found({}, {".": "ENOTDIR when opened"}) == capture(top)


@pytest.mark.parametrize("make", [Path.touch, None], ids=["a file", "nothing"])
def test_a_top_that_is_no_directory_is_rejected_as_a_whole(top: Path, make: object) -> None:
    top.rmdir()
    if callable(make):
        make(top)
    found = capture(top)
    assert {} == found.files
    assert ["."] == list(found.rejected)


def test_a_fifo_is_rejected_without_waiting_for_its_writer(top: Path) -> None:
    os.mkfifo(top / "fifo")
    assert Found({}, {"fifo": "FIFO"}) == capture(top)


def test_a_hard_link_is_rejected_under_each_of_its_names(top: Path) -> None:
    os.link(top.parent / "secret", top / "stolen")
    (top / "one").touch()
    os.link(top / "one", top / "two")
    found = capture(top)
    assert {} == found.files
    assert {"one", "stolen", "two"} == set(found.rejected)
    assert all(reason.startswith("hard link") for reason in found.rejected.values())


def test_a_socket_is_rejected(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(top)  # a socket's path may be no longer than 108 bytes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
    assert Found({}, {"socket": "socket"}) == capture(top)


@pytest.mark.needs_root("to make device nodes")
def test_a_device_is_rejected(top: Path) -> None:
    os.mknod(top / "zero", 0o20666, os.makedev(1, 5))
    os.mknod(top / "disk", 0o60666, os.makedev(7, 99))
    assert Found({}, {"zero": "character device", "disk": "block device"}) == capture(top)


def test_a_sparse_file_of_a_tebibyte_is_not_read(top: Path) -> None:
    with (top / "huge").open("wb") as file:
        file.truncate(1 << 40)
    (top / "small").write_bytes(b"kept")
    started = time.monotonic()
    found = capture(top)
    assert time.monotonic() - started < 1
    assert ["small"] == list(found.files)
    assert found.rejected["huge"].startswith("too large")


def test_two_thousand_directories_deep_ends_at_the_bound(top: Path) -> None:
    here = os.open(top, os.O_RDONLY)
    for depth in range(2000):
        (descriptor, name) = (here, f"{depth % 10}")
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
        os.mkdir(name, dir_fd=descriptor)
        here = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
    os.close(here)
    found = capture(top)
    assert MAX_DEPTH + 1 == len(found.files)
    assert [f"deeper than {MAX_DEPTH} directories"] == list(found.rejected.values())
    _remove_deep(top)


def _remove_deep(top: Path) -> None:
    # `shutil.rmtree` recurses, which 2,000 levels are too many for; so each level is lifted to the top first.
    for depth in range(2000):
        name = f"{depth % 10}"
        (top / "file").unlink(missing_ok=True)
        (top / name).rename(top.parent / "lifted")
        top.rmdir()
        (top.parent / "lifted").rename(top)


def test_names_that_are_no_utf8_are_rejected_and_can_be_printed(top: Path) -> None:
    raw = os.fsencode(top)
    Path(os.fsdecode(raw + b"/bad-\xff")).touch()
    Path(os.fsdecode(raw + b"/dir-\xfe")).mkdir()
    Path(os.fsdecode(raw + b"/dir-\xfe/inner")).touch()
    assert Found(
        {}, {"bad-\\xff": "its name is not UTF-8", "dir-\\xfe/inner": "its name is not UTF-8"}
    ) == capture(top)


def test_odd_names_that_are_utf8_are_kept_as_they_are(top: Path) -> None:
    names = ["new\nline", "x" * 255, "ünï-😀", "-rf", "\x1b[31mred", "..."]
    for name in names:
        (top / name).touch()
    assert sorted(names) == list(capture(top).files)


def test_a_hundred_thousand_files_take_a_bounded_time(top: Path) -> None:
    folder = os.open(top, os.O_RDONLY)
    for number in range(100_000):
        os.close(os.open(f"{number:06}", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    started = time.monotonic()
    found = capture(top)
    assert time.monotonic() - started < 10
    assert Limits().final_state_files == len(found.files)
    assert "more was rejected than is listed" == found.rejected["..."]
    assert len(found.rejected) <= MAX_REJECTED + 1
    shutil.rmtree(top)  # pytest would keep them


def test_no_more_entries_are_looked_at_than_the_budget_has(top: Path) -> None:
    for number in range(50):
        (top / str(number)).mkdir()
    found = capture(top, Limits(disk_inodes=10))
    assert "too many entries; the rest of this directory was not looked at" == found.rejected["."]


def test_directories_and_files_of_mode_000_are_captured(top: Path) -> None:
    (top / "shut").mkdir()
    (top / "shut" / "file").write_bytes(b"found")
    (top / "shut" / "file").chmod(0)
    (top / "shut").chmod(0)
    assert b"found" == capture(top).files["shut/file"].data
    (top / "shut").chmod(0o700)


@pytest.mark.parametrize("mode", [0o000, 0o200, 0o400, 0o644])
def test_a_directory_of_any_mode_is_captured_by_its_owner_as_by_root(top: Path, mode: int) -> None:
    (top / "odd").mkdir()
    (top / "odd" / "file").write_bytes(b"found")
    (top / "odd").chmod(mode)
    assert ["odd/file"] == list(capture(top).files)
    (top / "odd").chmod(0o700)


def test_files_over_the_count_are_rejected_in_order_of_path(top: Path) -> None:
    for number in range(5):
        (top / str(number)).touch()
    found = capture(top, Limits(final_state_files=3))
    assert ["0", "1", "2"] == list(found.files)
    assert {"3": "too many files", "4": "too many files"} == found.rejected


def test_bytes_over_the_sum_are_rejected_and_what_still_fits_is_kept(top: Path) -> None:
    own = sys.getsizeof("a")
    for name, size in (("a", 6000), ("b", 6000), ("c", 4000), ("d", 1), ("e", 0)):
        (top / name).write_bytes(b"x" * size)
    found = capture(top, Limits(final_state_bytes=10_000 + 3 * own))
    assert ["a", "c", "e"] == list(found.files)
    assert {"b", "d"} == set(found.rejected)


def make_long_names(top: Path, count: int) -> None:
    """Make empty files of long paths, with one character that makes all the others take four bytes."""
    folder = top / ("\N{GRINNING FACE}" + "x" * 200)
    folder.mkdir()
    for _ in range(16):
        folder /= "x" * 200
        folder.mkdir()
    for number in range(count):
        (folder / f"{number:03}").touch()


def test_names_count_too_so_empty_files_cannot_fill_our_memory(top: Path) -> None:
    make_long_names(top, 200)
    tracemalloc.start()
    found = capture(top, Limits(final_state_bytes=100_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0 < len(found.files) < 10
    assert sum(map(sys.getsizeof, found.files)) <= 100_000
    assert peak < 1_000_000


def test_of_a_rejected_path_its_beginning_is_kept(top: Path) -> None:
    make_long_names(top, 1)
    found = capture(top, Limits(final_state_bytes=1))
    (path,) = found.rejected
    assert MAX_REJECTED_PATH == len(path)
    assert path.startswith("\N{GRINNING FACE}xxx")


def test_what_is_kept_has_its_bytes_and_their_digest(top: Path) -> None:
    content = bytes(range(256)) * 10_000
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "b" / "c").write_bytes(content)
    assert Found({"a/b/c": CapturedFile(content, sha256(content).hexdigest())}, {}) == capture(top)


def test_no_descriptor_is_left_open_by_a_hostile_tree(top: Path) -> None:
    (top / "link").symlink_to("/etc")
    os.mkfifo(top / "fifo")
    (top / "deep" / "deeper").mkdir(parents=True)
    before = open_descriptors()
    capture(top)
    assert before == open_descriptors()
