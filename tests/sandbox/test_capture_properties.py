"""Trees as hypothesis makes them, made for real, and captured as somebody else would who reads the rules."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from sys import getsizeof
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.capture import MAX_DEPTH, MAX_REJECTED_PATH, capture_tree
from sandbox.inside.plain import remove_tree
from sandbox.limits import Limits
from tests.sandbox.faults import open_descriptors

NAMES = st.binary(min_size=1, max_size=12).map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"0")) | (
    st.sampled_from(
        [b"solution.py", b"-rf", b"new\nline", "ü😀".encode(), b"\xff\xfe", b"x" * 255, b"...", b"a\\xff"]
    )
)


@attrs.frozen
class File:
    content: bytes
    hole: int = 0
    mode: int = 0o644


@attrs.frozen
class Link:
    target: bytes


@attrs.frozen
class Special:
    kind: str


@attrs.frozen
class Again:
    """One more name for a file that was made before, if there is one."""

    which: int


@attrs.frozen
class Folder:
    inside: dict[bytes, Any]
    mode: int = 0o755


SOCKET_NAME = 60
"""A socket's path may be no longer than 108 bytes."""

MODES = st.sampled_from([0o644, 0o755, 0o000, 0o200, 0o4777])
LEAVES = (
    st.builds(File, st.binary(max_size=40), st.sampled_from([0, 0, 0, 1, 5000, 1 << 20, 1 << 40]), MODES)
    | st.builds(
        Link, st.sampled_from([b"/etc/passwd", b"..", b".", b"/proc/self/fd", b"solution.py", b"nowhere"])
    )
    | st.builds(Special, st.sampled_from(["fifo", "socket"]))
    | st.builds(Again, st.integers(0, 3))
)
TREES = st.recursive(
    LEAVES, lambda node: st.builds(Folder, st.dictionaries(NAMES, node, max_size=5), MODES), max_leaves=25
)
TOPS = st.dictionaries(NAMES, TREES, max_size=6)
LIMITS = st.builds(
    Limits,
    final_state_files=st.integers(1, 12),
    final_state_bytes=st.sampled_from([1, 150, 5000, 1 << 21]),
)


def make(folder: Path, inside: dict[bytes, Any], made: list[Path]) -> None:
    """Make what `inside` describes in `folder`; what cannot have its name is left out."""
    for name, node in inside.items():
        path = folder / os.fsdecode(name)
        if name in (b".", b".."):
            continue
        if isinstance(node, Folder):
            path.mkdir()
            make(path, node.inside, made)
            path.chmod(node.mode)
        elif isinstance(node, File):
            with path.open("xb") as file:
                file.write(node.content)
                file.truncate(len(node.content) + node.hole)
            path.chmod(node.mode)
            made.append(path)
        elif isinstance(node, Link):
            path.symlink_to(os.fsdecode(node.target))
        elif isinstance(node, Again):
            # In a closed folder, or there is none.
            with contextlib.suppress(PermissionError, ZeroDivisionError):
                path.hardlink_to(made[node.which % len(made)])
        elif node.kind == "fifo":
            os.mkfifo(path)
        elif len(name) < SOCKET_NAME:
            with socket.socket(socket.AF_UNIX) as listening:
                here = os.open(folder, os.O_RDONLY)
                listening.bind(f"/proc/self/fd/{here}/{path.name}")
                os.close(here)


@attrs.define
class Expected:
    """The rules once more, in other words: everything by its whole path, and by `lstat` alone."""

    limits: Limits
    files: dict[str, str] = attrs.field(factory=dict[str, str])
    refused: set[bytes] = attrs.field(factory=set[bytes])
    bytes_kept: int = 0

    def walk(self, folder: Path, below: bytes, depth: int) -> None:
        for path in sorted(folder.iterdir(), key=os.fsencode):
            name = os.fsencode(path.name)
            shown = below + b"/" + name if below else name
            found = path.lstat()
            if stat.S_ISDIR(found.st_mode) and depth < MAX_DEPTH:
                self.walk(path, shown, depth + 1)
            elif self.is_to_be_kept(found, shown):
                content = path.read_bytes()
                self.files[shown.decode()] = sha256(content).hexdigest()
                self.bytes_kept += len(content) + getsizeof(shown.decode())
            else:
                self.refused.add(shown)

    def is_to_be_kept(self, found: os.stat_result, shown: bytes) -> bool:
        return (
            stat.S_ISREG(found.st_mode)
            and found.st_nlink == 1
            and len(self.files) < self.limits.final_state_files
            and shown.decode("utf-8", "replace").encode() == shown
            and self.bytes_kept + found.st_size + getsizeof(shown.decode()) <= self.limits.final_state_bytes
        )


@pytest.fixture(name="place", scope="module")
def _place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@settings(max_examples=100, deadline=None)
@given(TOPS, LIMITS)
def test_whatever_a_tree_holds_is_captured_as_the_rules_say(
    place: Path, inside: dict[bytes, Any], limits: Limits
) -> None:
    top = place / "workspace"
    top.mkdir()
    try:
        make(top, inside, [])
        tree = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        before = open_descriptors()
        files, rejected = capture_tree(tree, b"workspace", limits)
        assert before == open_descriptors()
        os.close(tree)
        expected = Expected(limits)
        expected.walk(top, b"", 0)
    finally:
        remove_tree(str(top))
    assert expected.files == {path: file.sha256 for path, file in files.items()}
    assert all(file.sha256 == sha256(file.data).hexdigest() for file in files.values())
    assert list(files) == sorted(files)
    printed = sorted(
        path.decode("utf-8", "backslashreplace")[:MAX_REJECTED_PATH] for path in expected.refused
    )
    assert printed == [entry.path for entry in rejected]
