"""Looking at the session's processes through its own /proc, and ending a family of them."""

from __future__ import annotations

import os
import signal

_ROUNDS = 8
"""A family that forks while it is being stopped is looked at again, so many times at most."""


def snapshot() -> dict[int, tuple[int, int]]:
    """Return each process's parent and session id, by pid."""
    found: dict[int, tuple[int, int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    # The name, in parentheses, may hold anything, parentheses and spaces included.
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue  # gone meanwhile
            found[int(entry)] = (int(fields[1]), int(fields[3]))
    return found


def _family(ancestor: int) -> list[int]:
    """Return `ancestor`, its descendants, and those that daemonised without leaving its session."""
    processes = snapshot()
    members = {pid for pid, (_, session) in processes.items() if session == ancestor} | {ancestor}
    grown = True
    while grown:
        children = {pid for pid, (parent, _) in processes.items() if parent in members} - members
        members |= children
        grown = bool(children)
    members.discard(os.getpid())
    return sorted(members)


def kill_family(ancestor: int) -> None:
    """SIGKILL a lane's process with all that it started and that can still be told to be its.

    What has left both its parentage and its session lives on in the session, within the session's limits, and
    ends
    with it: only the session's own end is a guarantee.
    """
    stopped: set[int] = set()
    for _ in range(_ROUNDS):
        fresh = [pid for pid in _family(ancestor) if pid not in stopped]
        if not fresh:
            break
        for pid in fresh:
            _signal(pid, signal.SIGSTOP)
        stopped.update(fresh)
    for pid in stopped:
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # gone meanwhile; pids inside are only reused after all 32,768 have been
