"""The isolation that is really in force, measured from outside before the first hostile byte.

What init says about itself is not asked. The server reads /proc entries of the session's init and of its
first lane: which namespaces they are in, whom their ids are mapped to, what privileges they hold, whether a
filter is loaded, what is mounted and whether it can be written to. Any difference from what the tier promises
is a `PostureMismatch`, and the session dies of it.

The whole check is about twenty small reads; `scripts/bench` states its cost.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Literal

import attrs

from sandbox.errors import PostureMismatch

Tier = Literal["full", "landlock", "none"]
"""The names of the tiers. `full`: every namespace, a read-only root, no capabilities, no new privileges,
seccomp, bounded resources, and Landlock where the kernel has it. `landlock` (no user namespaces) and `none`
are names that a configuration may ask for and that are refused: they are not built yet."""

_NAMESPACES = ("user", "pid", "mnt", "ipc", "uts", "cgroup", "net")
_WRITABLE = frozenset({"/workspace", "/tmp", "/dev/shm", "/proc"})
_STATUS = {
    "NoNewPrivs": "1",
    "Seccomp": "2",
    "CapInh": "0000000000000000",
    "CapPrm": "0000000000000000",
    "CapEff": "0000000000000000",
    "CapBnd": "0000000000000000",
    "CapAmb": "0000000000000000",
}


@attrs.frozen
class Posture:
    """What holds for a session.

    Attributes:
        tier: the tier whose promises were checked.
        landlock: ABI version in force; 0 means that the kernel has none.
        network: ``"none"`` or ``"loopback"``.
        memory_bound_by: ``"cgroup v2"``, ``"cgroup v1"`` or ``"watchdog"``.
    """

    tier: Tier
    landlock: int
    network: str
    memory_bound_by: str


@functools.cache
def _own_filters() -> int:
    """Return how many seccomp filters are on the server itself: in a container its runtime puts one there."""
    rows = dict(row.split(":", 1) for row in _read("/proc/self/status").splitlines())
    return int(rows["Seccomp_filters"])


def _wanted_status() -> Mapping[str, str]:
    return {**_STATUS, "Seccomp_filters": str(_own_filters() + 1)}


@functools.cache
def _own_namespaces() -> Mapping[str, str]:
    return {name: os.readlink(f"/proc/self/ns/{name}") for name in _NAMESPACES}


def own_user() -> int:
    """Return the user that sessions run as when they cannot have users of their own."""
    return os.geteuid()


def check(pids: tuple[int, ...], outside_user: int) -> None:
    """Compare what is in force for these processes of one session with what the tier `full` promises.

    Args:
        pids: their numbers as seen from here.
        outside_user: the user id on this host that they must run as.

    Raises:
        PostureMismatch: names the first difference.
        OSError: a process is gone.
    """
    for pid in pids:
        _check_status(pid, outside_user)
        _check_namespaces(pid)
    _check_maps(pids[0], outside_user)
    _check_mounts(pids[0])


def _mismatch(pid: int, what: str, wanted: object, found: object) -> PostureMismatch:
    return PostureMismatch(
        f"process {pid} of the session: {what} is {found!r}, not {wanted!r}; it was killed"
    )


def _read(path: str) -> str:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, 1 << 16).decode()
    finally:
        os.close(file)


def _check_status(pid: int, outside_user: int) -> None:
    text = _read(f"/proc/{pid}/status")
    wanted_status = _wanted_status()
    ids = f"\t{outside_user}" * 4
    wanted_rows = (
        *(f"\n{name}:\t{wanted}\n" for name, wanted in wanted_status.items()),
        f"\nUid:{ids}\n",
        f"\nGid:{ids}\n",
    )
    if all(row in text for row in wanted_rows):
        return
    rows = dict(row.split(":", 1) for row in text.splitlines() if ":" in row)
    for name, wanted in wanted_status.items():
        found = rows.get(name, "").strip()
        if found != wanted:
            raise _mismatch(pid, name, wanted, found)
    for name in ("Uid", "Gid"):
        if set(rows[name].split()) != {str(outside_user)}:
            raise _mismatch(pid, name, outside_user, rows[name].split())


def _check_namespaces(pid: int) -> None:
    for name, ours in _own_namespaces().items():
        if os.readlink(f"/proc/{pid}/ns/{name}") == ours:
            raise _mismatch(pid, f"the {name} namespace", "one of its own", "the server's")


def _check_maps(pid: int, outside_user: int) -> None:
    for name in ("uid_map", "gid_map"):
        found = _read(f"/proc/{pid}/{name}").split()
        if found != ["1000", str(outside_user), "1"]:
            raise _mismatch(pid, name, f"1000 {outside_user} 1", " ".join(found))


def _check_mounts(pid: int) -> None:
    for row in _read(f"/proc/{pid}/mountinfo").splitlines():
        fields = row.split()
        point, options = fields[4], fields[5].split(",")
        if "nosuid" not in options:
            raise _mismatch(pid, f"mount {point}", "nosuid", fields[5])
        if point not in _WRITABLE and "ro" not in options:
            raise _mismatch(pid, f"mount {point}", "read-only", fields[5])
