"""Counts everything that a server holds, from outside, so that two moments can be compared.

What is counted, and why just so:

* **processes**: all below the server, however deep, zombies included. Standby sessions are among them, so a
  comparison is fair once the standby is full again.
* **namespaces**: the different ones that the server and those processes are in. One that nothing is in any
  more is held by a mount or a descriptor at most; those are counted, too.
* **mounts**: of the server's own mount namespace and of every other one that its processes are in.
* **cgroups**: folders in the subtrees named after the server's pid.
* **descriptors** and **threads** of the server. Trio keeps a worker thread for 10 s after its last job, so
  the threads of the end are looked at for longer than that.
* **temporary**: what lies in the folder that the server was given as TMPDIR.
* **tmpfs**: bytes of files in memory that are charged to the server's control groups, those of removed groups
  included: the kernel charges what outlives a group to its parent. The machine's ``Shmem`` would do where
  nobody else uses it; it is no measure beside other programs, so without control groups this is None. A
  tmpfs cannot outlive the processes, mounts and descriptors that hold it, and those are always counted.
* **resident**: the server's own resident memory, see `RESIDENT_TOLERANCE`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import attrs
import trio

from scripts.benchmark.accounts import children
from scripts.child_server import ChildServer
from scripts.soaking.wire import open_wire
from server.settings import Settings

RESIDENT_TOLERANCE = 8 << 20
"""How much larger the server may be than at the baseline, in bytes. Its allocator gives pages back only when
nothing at all lies in them, so after other peaks it is another size without holding anything more. 8 MiB is
less than 1 KiB for each session of the long soak: what is kept of every session shows."""

SETTLE_SECONDS = 60.0
"""How long what has ended may take to be gone. Abandoned sessions end half a second after their client,
worker threads after ten; the rest is for busy machines."""

FULL_SECONDS = 120.0
"""How long a server may take to have its standby full."""

_CGROUPS = Path("/sys/fs/cgroup")
_CGROUP_DEPTH = 6
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


@attrs.frozen
class Census:
    """What there is at one moment; `tmpfs` and `resident` are bytes, the others counts."""

    processes: int
    namespaces: int
    mounts: int
    cgroups: int
    descriptors: int
    threads: int
    temporary: int
    tmpfs: int | None
    resident: int

    def over(self, baseline: Census) -> dict[str, tuple[int, int]]:
        """Return what there is more of than at the baseline: its name to how much then and how much now."""
        found: dict[str, tuple[int, int]] = {}
        for name, then in attrs.asdict(baseline).items():
            now = getattr(self, name)
            tolerance = RESIDENT_TOLERANCE if name == "resident" else 0
            if then is not None and now is not None and now > then + tolerance:
                found[name] = (then, now)
        return found


def take_census(pid: int, temporary: Path) -> Census:
    """Count what the server `pid` holds; `temporary` is its TMPDIR."""
    below = descendants_now(pid)
    namespaces, mounts = _namespaces_and_mounts([pid, *below])
    groups = list(_groups(_CGROUPS, f"creche-{pid}-", _CGROUP_DEPTH))
    status = dict(row.split(":", 1) for row in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Census(
        processes=len(below),
        namespaces=namespaces,
        mounts=mounts,
        cgroups=sum(_folders(group) for group in groups),
        descriptors=len(os.listdir(f"/proc/{pid}/fd")),  # noqa: PTH208  # only their number
        threads=int(status["Threads"]),
        temporary=sum(1 for _ in temporary.iterdir()),
        tmpfs=_shared_memory(groups),
        resident=int(status["VmRSS"].split()[0]) * 1024,
    )


async def settle(pid: int, temporary: Path, baseline: Census, seconds: float = SETTLE_SECONDS) -> Census:
    """Wait until nothing is over the baseline, for at most so long; return the last census."""
    deadline = trio.current_time() + seconds
    while True:
        census = take_census(pid, temporary)
        if not census.over(baseline) or trio.current_time() > deadline:
            return census
        await trio.sleep(0.1)


async def steady(server: ChildServer, temporary: Path) -> Census:
    """Return a census of a server that does nothing, once its standby has been started.

    Raises:
        trio.TooSlowError: the standby was not full in time.
    """
    # That the counts stay the same for a while says too little: on a busy machine a start pauses for as long.
    with trio.fail_after(FULL_SECONDS):
        while await _on_standby(server.url) < Settings().standby:  # noqa: ASYNC110  # it is another process's
            await trio.sleep(0.1)
    before = take_census(server.pid, temporary)
    while True:
        await trio.sleep(0.5)
        now = take_census(server.pid, temporary)
        if attrs.evolve(now, resident=0) == attrs.evolve(before, resident=0):
            return now
        before = now


async def _on_standby(url: str) -> int:
    async with open_wire(url) as wire:
        answer = await wire.request(b"GET", b"/health", [], b"")
    return int(json.loads(answer.body)["standby"])


def descendants_now(pid: int) -> list[int]:
    """Return a process's descendants. Some end while one looks: that hides none of the others."""
    found = [pid]
    for each in found:
        with suppress(FileNotFoundError, ProcessLookupError):
            found += children(each)
    return found[1:]


def groups_of(pid: int) -> list[Path]:
    """Return the control group folders that are named after a server."""
    return list(_groups(_CGROUPS, f"creche-{pid}-", _CGROUP_DEPTH))


def is_dead(pid: int, *, reap: bool = False) -> bool:
    """Whether a process has ended; `reap` waits for one that is a child of ours."""
    if reap:
        with suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                return True
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except (FileNotFoundError, ProcessLookupError):
        return True


def _namespaces_and_mounts(pids: list[int]) -> tuple[int, int]:
    found: set[str] = set()
    mounts = 0
    for pid in pids:
        # It has just ended, or is about to. The kernel has many words for that: there is no such file or
        # process, an ordinary user may not look at one without memory, one that has left its namespaces has
        # no mounts (EINVAL).
        with suppress(OSError):
            links = [str(Path(f"/proc/{pid}/ns/{kind}").readlink()) for kind in _NAMESPACES]
            if not found.issuperset(link for link in links if link.startswith("mnt")):
                mounts += len(Path(f"/proc/{pid}/mountinfo").read_bytes().splitlines())
            found.update(links)
    return len(found), mounts


def _groups(folder: Path, prefix: str, depth: int) -> Iterator[Path]:
    with suppress(OSError), os.scandir(folder) as entries:  # gone since it was listed, or not ours to read
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name.startswith(prefix):
                    yield Path(entry.path)
                elif depth > 1:
                    yield from _groups(Path(entry.path), prefix, depth - 1)


def _folders(group: Path) -> int:
    return 1 + sum(1 for entry in os.scandir(group) if entry.is_dir())


def _shared_memory(groups: list[Path]) -> int | None:
    for group in groups:
        with suppress(OSError):
            rows = dict(row.split() for row in (group / "memory.stat").read_text().splitlines())
            # Version 1 tells a group's own and all below it apart, version 2 always means the latter.
            return int(rows.get("total_shmem") or rows["shmem"])
    return None
