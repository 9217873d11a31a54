"""Whoever holds the locks first decides what everybody else is told."""

from __future__ import annotations

import fcntl
import os
import struct
from typing import TYPE_CHECKING

import pytest

from sandbox.inside import guard
from tests.attacks.kernel import descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHOLE = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)


@pytest.fixture(name="shared")
def _shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Give a file that is to be guarded, open."""
    path = tmp_path / "shared"
    path.touch()
    monkeypatch.setattr(guard, "_SHARED", (str(path), str(tmp_path / "absent")))
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    yield file
    os.close(file)


def test_under_guard_exclusive_locks_are_refused_and_shared_ones_granted(shared: int) -> None:
    held = guard.occupy()
    try:
        for lock in (fcntl.lockf, fcntl.flock):
            with pytest.raises(BlockingIOError):
                lock(shared, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock(shared, fcntl.LOCK_SH | fcntl.LOCK_NB)
    finally:
        for descriptor in held:
            os.close(descriptor)
    for lock in (fcntl.lockf, fcntl.flock):
        lock(shared, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it ends with the descriptors


def test_whoever_asks_is_told_of_the_guard_whatever_others_hold(shared: int) -> None:
    held = guard.occupy()
    try:
        before = fcntl.fcntl(shared, fcntl.F_GETLK, WHOLE)
        child = os.fork()
        if child == 0:
            fcntl.lockf(shared, fcntl.LOCK_SH | fcntl.LOCK_NB)
            told = fcntl.fcntl(shared, fcntl.F_OFD_GETLK, WHOLE)
            os._exit(before != told)
        assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert fcntl.F_RDLCK == struct.unpack_from("h", before)[0]
    finally:
        for descriptor in held:
            os.close(descriptor)


@pytest.mark.parametrize("kind", ["records", "whole file"])
def test_an_exclusive_lock_of_somebody_else_is_named_and_nothing_is_held(shared: int, kind: str) -> None:
    if kind == "records":
        fcntl.fcntl(shared, fcntl.F_OFD_SETLK, WHOLE)
    else:
        fcntl.flock(shared, fcntl.LOCK_EX)
    before = descriptors("self")
    with pytest.raises(BlockingIOError, match=r"lock .*/shared: Resource temporarily unavailable"):
        guard.occupy()
    assert before == descriptors("self")
