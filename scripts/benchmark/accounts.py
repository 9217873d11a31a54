"""Processor time and memory of our own processes, from /proc."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import attrs

_TICKS = os.sysconf("SC_CLK_TCK")
_UTIME, _CSTIME = (
    11,
    15,
)  # fields of /proc/PID/stat, counted after the name: user, system, and those of reaped children
_IDLE, _IOWAIT = 3, 4  # fields of the first line of /proc/stat
_GUEST = 8  # from here on /proc/stat counts again what is in the fields before


def children(pid: int) -> list[int]:
    """Return the children of a process, whichever of its threads started them.

    Threads may end meanwhile. Of a process that has ended there is no folder to look into.

    Raises:
        FileNotFoundError, ProcessLookupError: there is no such process.
    """
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        # One that has just ended has given its children to another.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, (task / "children").read_text(encoding="ascii").split())
    return found


def descendants(pid: int) -> Iterator[int]:
    """Yield all processes below one."""
    for child in children(pid):
        yield child
        yield from descendants(child)


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process, of all below it, and of what they have reaped."""
    total = 0.0
    for each in _family(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # then it counts as reaped, or will
            total += _own_cpu_seconds(each)
    return total


def _own_cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return sum(map(int, fields[_UTIME:_CSTIME])) / _TICKS


def machine_cpu_seconds() -> float:
    """Return the processor time of the whole machine since it started, kernel threads included."""
    first = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0]
    fields = list(map(int, first.split()[1:]))
    return (sum(fields[:_GUEST]) - fields[_IDLE] - fields[_IOWAIT]) / _TICKS


@attrs.frozen
class Memory:
    """What the sessions below this process hold, in bytes.

    Attributes:
        inits, lanes: proportional set size of all inits, and of all their lanes.
        private: of both, what no other process shares.
    """

    inits: int
    lanes: int
    private: int


def sessions_memory(pid: int) -> Memory:
    """Add up every session that `pid` has started: keeper, zygote, then inits with their lanes.

    Raises:
        PermissionError: init is not dumpable, so only root may look.
    """
    inits = [init for keeper in children(pid) for zygote in children(keeper) for init in children(zygote)]
    lanes = [lane for init in inits for lane in descendants(init)]
    looked = [_rollup(each) for each in inits], [_rollup(each) for each in lanes]
    return Memory(
        inits=sum(each["Pss"] for each in looked[0]),
        lanes=sum(each["Pss"] for each in looked[1]),
        private=sum(each["Private_Dirty"] + each["Private_Clean"] for group in looked for each in group),
    )


def proportional_bytes(pid: int) -> int:
    """Return what a process and all below it hold: their proportional set sizes, added up.

    Processes that end meanwhile count for nothing.

    Raises:
        PermissionError: one of them is not dumpable, so only root may look.
    """
    total = 0
    for each in _family(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += _rollup(each)["Pss"]
    return total


def _family(pid: int) -> list[int]:
    """Return a process and all below it, some of which may end meanwhile."""
    found = [pid]
    for each in found:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += children(each)
    return found


def _rollup(pid: int) -> dict[str, int]:
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    return {name: int(value.split()[0]) * 1024 for name, _, value in (row.partition(":") for row in rows)}


def available_bytes() -> int:
    """Return what the kernel holds to be available to new processes."""
    for row in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if row.startswith("MemAvailable:"):
            return int(row.split()[1]) * 1024
    return 0
