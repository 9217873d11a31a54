"""Bounding a session's memory where no control group does: init looks at it, a few times a second.

What is summed is each process's proportional set size, which counts a page shared by n processes as an n-th,
so that the zygote's preloaded libraries are not charged to every session; its page tables, for a wide mapping
that is only looked at has hardly anything else; and the pages of the session's tmpfs. A process may hide its
proportional size (by not being dumpable); then its anonymous and shared memory count in full, which is never
less. Memory that belongs to no process and no mount cannot be summed, so the seccomp policy lets nobody have
any.

Weaker than a control group: memory can grow between two looks, and what lies in sockets and pipes is not
seen. The posture says which of the two is in force.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable

_KIB = 1024


class Watchdog:
    """Says whether the session uses more memory than it may, and ends its largest process."""

    interval_ms = 100

    def __init__(self, memory_bytes: int, files: Callable[[], int]) -> None:
        """Allow `memory_bytes` to the session's processes and what `files` says that files hold."""
        self._allowed = memory_bytes
        self._files = files
        self._seen: dict[int, int] = {}

    def is_exceeded(self, members: Callable[[], Iterable[int]]) -> bool:
        """Look once.

        Args:
            members: finds the session's processes.
        """
        self._seen = _sizes(members())
        return sum(self._seen.values()) + self._files() > self._allowed

    def kill_largest(self, *, spare: int) -> None:
        """SIGKILL the process that held the most when looked at, never `spare`."""
        sizes = {pid: size for pid, size in self._seen.items() if pid != spare}
        if sizes:
            try:
                os.kill(max(sizes, key=lambda pid: sizes[pid]), signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended by itself


def _sizes(members: Iterable[int]) -> dict[int, int]:
    sizes: dict[int, int] = {}
    for pid in members:
        try:
            tables = _field(f"/proc/{pid}/status", (b"VmPTE:",))
        except OSError:
            continue  # gone meanwhile
        try:
            sizes[pid] = tables + _proportional(pid)
        except OSError:
            try:
                sizes[pid] = tables + _own(pid)
            except OSError:
                continue
    return sizes


def memory_of_files() -> int:
    """Return what the session's own file system holds, which is memory."""
    tree = os.statvfs("/workspace")
    return (tree.f_blocks - tree.f_bfree) * tree.f_frsize


def _proportional(pid: int) -> int:
    return _field(f"/proc/{pid}/smaps_rollup", (b"Pss:",))


def _own(pid: int) -> int:
    return _field(f"/proc/{pid}/status", (b"RssAnon:", b"RssShmem:"))


def _field(path: str, names: tuple[bytes, ...]) -> int:
    total = 0
    with open(path, "rb") as file:
        for row in file:
            if row.startswith(names):
                total += int(row.split()[1]) * _KIB
    return total
