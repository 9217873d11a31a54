"""The isolation that is really in force, measured from outside before the first hostile byte.

What init says about itself is not asked. The server reads /proc entries of the session's init and of its
first lane: which namespaces they are in, whom their ids are mapped to, what privileges they hold, how many
filters are loaded, in which control groups they are, what is mounted and whether it can be written to. Any
difference from what the tier promises is a `PostureMismatch`, and the session dies of it.

One promise cannot be seen from outside: the kernel shows nobody whether a Landlock domain is in force. Where
a tier rests on it, each lane tries it before it answers (`sandbox.inside.confinement`).

The whole check is a few dozen small reads; `scripts/bench` states its cost.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping

import attrs

from sandbox.errors import PostureMismatch
from sandbox.syscall_policy import Locks
from sandbox.tiers import MEANS, Tier

_NAMESPACES = ("user", "pid", "mnt", "ipc", "uts", "cgroup", "net")
_WRITABLE = frozenset({"/workspace", "/tmp", "/dev/shm", "/proc"})
_FILE_SYSTEMS = {"/workspace": "tmpfs", "/tmp": "tmpfs", "/dev/shm": "tmpfs", "/proc": "proc"}
_CHUNK = 1 << 16
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
        locks: ``"own"``, ``"shared"`` or ``"refused"``: see `sandbox.syscall_policy.Locks`.
        user: ``"own"`` where no two sessions have the same user id on the host, ``"shared"`` where all have
            the server's.
    """

    tier: Tier
    landlock: int
    network: str
    memory_bound_by: str
    locks: Locks
    user: str


@functools.cache
def _own_namespaces() -> Mapping[str, str]:
    return {name: os.readlink(f"/proc/self/ns/{name}") for name in _NAMESPACES}


def own_user() -> int:
    """Return the user that sessions run as when they cannot have users of their own."""
    return os.geteuid()


@functools.cache
def _own_status() -> Mapping[str, str]:
    return {name: text.strip() for name, _, text in (row.partition(":") for row in _status_rows("self"))}


def golden_status(tier: Tier, *, owns_user: bool) -> dict[str, str]:
    """Return the rows of /proc/<pid>/status that the tier promises.

    Args:
        tier: the tier.
        owns_user: whether sessions have user ids of their own. Otherwise, and without a user namespace,
            nobody had the right to empty the bounding set; no_new_privs makes it meaningless.
    """
    means, ours = MEANS[tier], _own_status()
    golden = dict(_STATUS)
    loaded = int(ours.get("Seccomp_filters", "0"))  # a container's profile is inherited by everybody
    golden["Seccomp_filters"] = str(loaded + means.seccomp)
    if not means.seccomp:
        golden["Seccomp"] = ours["Seccomp"]
    if owns_user:
        golden["Groups"] = " "  # the kernel ends the list, of none here, with a space
    elif not means.namespaces:
        golden["CapBnd"] = ours["CapBnd"]
    return golden


def check(
    pids: tuple[int, ...],
    outside_user: int,
    *,
    tier: Tier = "full",
    group: str | None = None,
    locks: Locks = "own",
) -> None:
    """Compare what is in force for these processes of one session with what the tier promises.

    Args:
        pids: their numbers as seen from here.
        outside_user: the user id on this host that they must run as.
        tier: the tier.
        group: the end of the path of the control groups that they must be in; None for none.
        locks: whose inodes they can lock.

    Raises:
        PostureMismatch: names the first difference.
        OSError: a process is gone.
    """
    owns_user = outside_user != own_user()
    golden = golden_status(tier, owns_user=owns_user)
    has_namespaces = MEANS[tier].namespaces
    for pid in pids:
        _check_status(pid, outside_user, golden)
        if has_namespaces:
            _check_namespaces(pid)
        if group is not None:
            _check_groups(pid, group)
    if has_namespaces:
        _check_maps(pids[0], outside_user)
        _check_mounts(pids[0], "overlay" if locks == "own" else None)


def _mismatch(pid: int, what: str, wanted: object, found: object) -> PostureMismatch:
    return PostureMismatch(
        f"process {pid} of the session: {what} is {found!r}, not {wanted!r}; it was killed"
    )


def _read(path: str) -> str:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    parts: list[bytes] = []
    try:
        while part := os.read(file, _CHUNK):  # the kernel gives out a page of a long table at a time
            parts.append(part)
    finally:
        os.close(file)
    return b"".join(parts).decode()


def _status_rows(pid: int | str) -> list[str]:
    return _read(f"/proc/{pid}/status").splitlines()


def _outside_group(outside_user: int) -> int:
    """Return the group that goes with a user: the server's own, or the one with the same number."""
    return os.getegid() if outside_user == own_user() else outside_user


def _check_status(pid: int, outside_user: int, golden: Mapping[str, str]) -> None:
    text = _read(f"/proc/{pid}/status")
    ids = {"Uid": outside_user, "Gid": _outside_group(outside_user)}
    wanted_rows = (
        *(f"\n{name}:\t{wanted}\n" for name, wanted in golden.items()),
        *(f"\n{name}:" + f"\t{number}" * 4 + "\n" for name, number in ids.items()),
    )
    if all(row in text for row in wanted_rows):
        return
    rows = dict(row.split(":", 1) for row in text.splitlines() if ":" in row)
    for name, wanted in golden.items():
        found = rows.get(name, "").strip()
        if found != wanted.strip():
            raise _mismatch(pid, name, wanted, found)
    for name, number in ids.items():
        if set(rows[name].split()) != {str(number)}:
            raise _mismatch(pid, name, number, rows[name].split())


def _check_namespaces(pid: int) -> None:
    for name, ours in _own_namespaces().items():
        if os.readlink(f"/proc/{pid}/ns/{name}") == ours:
            raise _mismatch(pid, f"the {name} namespace", "one of its own", "the server's")


def _check_groups(pid: int, group: str) -> None:
    rows = _read(f"/proc/{pid}/cgroup").splitlines()
    held = [row for row in rows if row.endswith("/" + group)]
    wanted = {"memory", "pids"}
    controllers = {name for row in held for name in row.split(":", 2)[1].split(",")}
    if not controllers >= wanted and controllers != {""}:  # version 2 names none
        raise _mismatch(pid, "its control group", group, [row.split(":", 2)[2] for row in rows])


def _check_maps(pid: int, outside_user: int) -> None:
    for name, number in (("uid_map", outside_user), ("gid_map", _outside_group(outside_user))):
        found = _read(f"/proc/{pid}/{name}").split()
        if found != ["1000", str(number), "1"]:
            raise _mismatch(pid, name, f"1000 {number} 1", " ".join(found))


def _check_mounts(pid: int, shown_by: str | None) -> None:
    wanting = {"/", *_FILE_SYSTEMS}
    for row in _read(f"/proc/{pid}/mountinfo").splitlines():
        fields = row.split()
        point, options = fields[4], fields[5].split(",")
        wanting.discard(point)
        if "nosuid" not in options:
            raise _mismatch(pid, f"mount {point}", "nosuid", fields[5])
        if point not in _WRITABLE and "ro" not in options:
            raise _mismatch(pid, f"mount {point}", "read-only", fields[5])
        kind = fields[fields.index("-", 6) + 1]
        is_shared = point.startswith("/dev") or fields[3] == "/empty"  # what the zygote holds the locks of
        wanted = _FILE_SYSTEMS.get(point, kind if is_shared else shown_by)
        if wanted not in (kind, None):
            raise _mismatch(pid, f"mount {point}", wanted, kind)
    if wanting:
        raise _mismatch(pid, f"mount {min(wanting)}", "there", "missing")
