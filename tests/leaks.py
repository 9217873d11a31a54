"""Finds what a test left behind: on this machine, not only in this process.

Theory of operation
===================

`take` looks at everything that could stay behind and that can be listed in well under a millisecond:

* **child processes** of the test process. `adopt_orphans` makes it a "subreaper": a process whose parent
  dies becomes *its* child instead of PID 1's. So whatever was started, however often it forked, is either
  below a living child of ours or turns up among our children: looking at the children is enough.
* **descriptors** of the test process, told apart by what they point at, so that a number may be used again.
* **mounts** in the test process's mount namespace, but for those in the folders of other test processes.
* **cgroups** and **temporary files** with our name in theirs. Other runs may be under way on the same
  machine, so the tests run in cgroups of their own where they may (`own_cgroups`); elsewhere what carries the
  number of a live process that is not ours (``creche-1234-…``) is that one's.

A second look, compared with the first, gives what is new. As processes and cgroups need a moment to vanish
after they were killed, `wait_for_nothing` looks again until nothing is left or its patience is over.
"""

from __future__ import annotations

import ctypes
import gc
import os
import re
import signal
import tempfile
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

_PR_SET_CHILD_SUBREAPER = 36
FOLDER = "tests-of-creche-"
"""With this the name of each test process's own temporary folder begins."""

_CGROUPS = "/sys/fs/cgroup"
_CGROUP_DEPTH = 4  # controller, slice, service, ours: where v1 controllers would have it
_LEAF = "creche-server"  # on v2 of all servers in a group; the last one to close removes it
_CGROUP_CONTROLLERS = ("memory", "pids")
_own_cgroups: list[str] = []
_OURS = "creche"
_STAT_STATE, _STAT_START_TIME = (
    0,
    19,
)  # counted from behind the command's name; proc_pid_stat(5) counts from 1


@attrs.frozen
class Child:
    """A child of this process; the time of its start makes it unique where a number alone is not."""

    pid: int
    started: int
    command: str = attrs.field(eq=False)
    is_zombie: bool = attrs.field(eq=False)

    def __str__(self) -> str:
        """Name it and say in which way it was left."""
        state = "dead, but nobody waited for it" if self.is_zombie else "alive"
        return f"process {self.pid} ({self.command}): {state}"


@attrs.frozen
class Snapshot:
    """What there is at one moment."""

    children: frozenset[Child]
    descriptors: Counter[str]
    mounts: frozenset[str]
    cgroups: frozenset[str]
    temporary: frozenset[str]


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies. Stays so; is not inherited by children."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextmanager
def own_cgroups() -> Iterator[list[str]]:
    """Move this process, and with it what it will start, into cgroups of its own while the block lasts.

    Yields:
        Their folders: where a server killed by another run at the same time leaves nothing. Empty where this
        is not to be had: for an ordinary user, and with version 2, where a cgroup with processes in it cannot
        have children that are counted.
    """
    homes: dict[str, str] = {}
    for line in Path("/proc/self/cgroup").read_text("ascii").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in _CGROUP_CONTROLLERS:
            home = f"{_CGROUPS}/{controllers}{path}".rstrip("/")
            with suppress(OSError):
                own = f"{home}/tests-of-creche-{os.getpid()}"
                Path(own).mkdir()
                Path(own, "cgroup.procs").write_text("0")
                homes[own] = home
    _own_cgroups.extend(homes)
    try:
        yield list(homes)
    finally:
        _own_cgroups.clear()
        for own, home in homes.items():
            Path(home, "cgroup.procs").write_text("0")
            Path(own).rmdir()


def take() -> Snapshot:
    """Look at everything once."""
    return Snapshot(
        children=frozenset(_children()),
        descriptors=_descriptors(),
        mounts=frozenset(_mounts()),
        cgroups=frozenset(_our_cgroups()),
        temporary=frozenset(_temporary_files()),
    )


def left_since(before: Snapshot) -> list[str]:
    """Return a line for each thing that is here now and was not at `before`."""
    now = take()
    lines = [str(child) for child in sorted(now.children - before.children, key=lambda child: child.pid)]
    lines += [
        f"descriptor of {target}" for target in sorted((now.descriptors - before.descriptors).elements())
    ]
    lines += [f"mount {line}" for line in sorted(now.mounts - before.mounts)]
    lines += [f"cgroup {path}" for path in sorted(now.cgroups - before.cgroups)]
    lines += [f"temporary file {path}" for path in sorted(now.temporary - before.temporary)]
    return lines


def _mounts() -> Iterator[str]:
    ours = tempfile.gettempdir() + "/"
    for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines():
        point = line.split()[4]
        if point.startswith(ours) or FOLDER not in point:
            yield line


def wait_for_nothing(before: Snapshot, *, seconds: float, reap: bool = False) -> list[str]:
    """Return what was left since `before`, once that is nothing or `seconds` are over.

    Args:
        before: what was there already.
        seconds: how long to wait for things to vanish, wall clock. Nothing left costs no wait.
        reap: wait for dead children in their parent's place. Right only where a parent was killed on purpose.
    """
    deadline = time.monotonic() + seconds
    if reap:
        reap_dead(before)
    left = left_since(before)
    if left:
        # An object in a reference cycle keeps its descriptor until it is collected. Nothing need be said of
        # that here: Python warns of it itself, and warnings are errors.
        gc.collect()
    while left and time.monotonic() < deadline:
        time.sleep(0.002)
        if reap:
            reap_dead(before)
        left = left_since(before)
    return left


def reap_dead(before: Snapshot) -> None:
    """Wait for each child that has died since `before` and that nobody has waited for."""
    for child in frozenset(_children()) - before.children:
        if child.is_zombie:
            with suppress(ChildProcessError):
                os.waitpid(child.pid, 0)


def end_children(before: Snapshot) -> None:
    """Kill and reap the children that are new since `before`: one test's leak must not disturb the next."""
    for child in frozenset(_children()) - before.children:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(
                child.pid, signal.SIGKILL
            )  # our own child, not yet waited for: its number cannot be another's
            os.waitpid(child.pid, 0)


def _children() -> Iterator[Child]:
    # A child belongs to the thread that started it, so all threads are asked.
    for thread in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # that thread has just ended
            for pid in (thread / "children").read_text("ascii").split():
                with suppress(FileNotFoundError, ProcessLookupError):  # that child has just been reaped
                    yield _child(int(pid))


def _child(pid: int) -> Child:
    # The command stands in parentheses and may itself hold spaces and parentheses.
    stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    command, _, rest = stat.partition("(")[2].rpartition(")")
    fields = rest.split()
    return Child(pid, int(fields[_STAT_START_TIME]), command, fields[_STAT_STATE] == "Z")


def _descriptors() -> Counter[str]:
    targets: Counter[str] = Counter()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that listed the directory
            targets[str(descriptor.readlink())] += 1
    return targets


def _where_cgroups() -> tuple[str, int]:
    """Return where to look and how deep: on v2 no further than a server of ours would make any."""
    if not Path(_CGROUPS, "cgroup.controllers").exists():
        return _CGROUPS, _CGROUP_DEPTH
    own = Path("/proc/self/cgroup").read_text("ascii").partition("0::")[2].rstrip("\n")
    return _CGROUPS + own.removesuffix(f"/{_LEAF}"), 1


def _our_cgroups() -> Iterator[str]:
    if _own_cgroups:
        for folder in _own_cgroups:
            yield from _cgroups(folder, 1)
        return
    for path in _cgroups(*_where_cgroups()):
        with suppress(FileNotFoundError):
            if Path(path).stat().st_uid == os.geteuid() and not _is_foreign(path):
                yield path


def _cgroups(folder: str, depth: int) -> Iterator[str]:
    with suppress(OSError), os.scandir(folder) as entries:  # gone since it was listed, or not ours to read
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False) or entry.name == _LEAF:
                continue
            if _OURS in entry.name:
                yield entry.path
            elif depth > 1:
                yield from _cgroups(entry.path, depth - 1)


def _temporary_files() -> Iterator[str]:
    with os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if entry.name.startswith(_OURS):
                yield entry.path


def _is_foreign(path: str) -> bool:
    owner = re.search(rf"{_OURS}\D*(\d+)", path)
    if owner is None or int(owner[1]) == os.getpid():
        return False
    pid = int(owner[1])
    return Path(f"/proc/{pid}").exists() and all(child.pid != pid for child in _children())
