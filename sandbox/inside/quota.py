"""Bounding what a session writes where it has no file system of its own: init looks at its folder at times.

What is summed is what the files and folders take up, and once more what processes of the session hold open of
files that have no name any more. Weaker than a file system's own bound: between two looks more can be
written, and a file without a name that is only mapped is not seen. A folder that init may not look into, or
that is nested beyond all use, counts as over the bound: something could be hidden there.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable

_SECONDS = 0.5
_SHARE = 20  # a look may take no more than this part of the time between two
_DEPTH = 200
_BLOCK = 512


class Quota:
    """Says whether a session's folder holds more than it may."""

    def __init__(self, folder: int, most_bytes: int, most_inodes: int) -> None:
        """Watch the folder that the descriptor `folder` is of. The descriptor is copied."""
        self._folder = os.dup(folder)
        self._most_bytes = most_bytes
        self._most_inodes = most_inodes
        self._next_look = 0.0

    def is_exceeded(self, members: Callable[[], Iterable[int]]) -> bool:
        """Look, if it is time to.

        Args:
            members: finds the session's processes; not asked when it is not time.
        """
        started = time.monotonic()
        if started < self._next_look:
            return False
        self._bytes = self._inodes = 0
        try:
            self._add_folder(self._folder, 0)
            self._add_nameless(members())
        except (_Exceeded, PermissionError):
            return True
        except FileNotFoundError:
            pass  # it changes while it is looked at; the next look will see
        took = time.monotonic() - started
        self._next_look = started + max(_SECONDS, took * _SHARE)
        return False

    def _add(self, found: os.stat_result) -> None:
        self._bytes += found.st_blocks * _BLOCK
        self._inodes += 1
        if self._bytes > self._most_bytes or self._inodes > self._most_inodes:
            raise _Exceeded

    def _add_folder(self, folder: int, depth: int) -> None:
        if depth > _DEPTH:
            raise _Exceeded
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    found = entry.stat(follow_symlinks=False)
                    self._add(found)
                    if stat.S_ISDIR(found.st_mode):
                        self._add_below(folder, entry.name, depth)
                except (FileNotFoundError, NotADirectoryError):
                    continue  # gone meanwhile

    def _add_below(self, folder: int, name: str, depth: int) -> None:
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            self._add_folder(below, depth + 1)
        finally:
            os.close(below)

    def _add_nameless(self, members: Iterable[int]) -> None:
        device = os.fstat(self._folder).st_dev
        seen: set[int] = set()
        for pid in members:
            try:
                names = os.listdir(f"/proc/{pid}/fd")
            except OSError:
                continue  # gone, or not to be looked into
            for name in names:
                try:
                    found = os.stat(f"/proc/{pid}/fd/{name}")
                except OSError:
                    continue
                is_nameless = found.st_nlink == 0 and found.st_dev == device and stat.S_ISREG(found.st_mode)
                if is_nameless and found.st_ino not in seen:
                    seen.add(found.st_ino)
                    self._add(found)


class _Exceeded(Exception):
    """Ends a walk, and never leaves this module."""
