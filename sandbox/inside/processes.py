"""Looking at processes through /proc, and ending families of them."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

END_SECONDS = 1.0
"""How long an init may take to end its own session, before that is done for it."""

_ROUNDS = 8
"""A family that forks while it is being stopped is looked at again, so many times at most."""


class Entry(NamedTuple):
    """A process's parent, the leader of its session, and when it started, in clock ticks since boot."""

    parent: int
    session: int
    started: int


def snapshot() -> dict[int, Entry]:
    """Return the processes that /proc shows, by pid."""
    found: dict[int, Entry] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            entry = _entry(int(name))
            if entry is not None:
                found[int(name)] = entry
    return found


def _entry(pid: int) -> Entry | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name, in parentheses, may hold anything, parentheses and spaces included.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None  # gone meanwhile
    return Entry(int(fields[1]), int(fields[3]), int(fields[19]))


def below(ancestors: Iterable[int], processes: Mapping[int, Entry]) -> set[int]:
    """Return `ancestors` and all their descendants, as far as `processes` has them."""
    members = set(ancestors)
    grown = True
    while grown:
        children = {pid for pid, entry in processes.items() if entry.parent in members} - members
        members |= children
        grown = bool(children)
    return members


def hold(child: int) -> int:
    """Return a pidfd of a child that was just forked.

    Raises:
        OSError: there is none to be had; the child has been killed and reaped.
    """
    try:
        return os.pidfd_open(child)
    except OSError:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise


def wipe_after(seconds: float) -> None:
    """Let the children end by themselves for so long, then `wipe` what is left.

    Inits notice that whom they serve has died, and end their sessions. Were they ended from here at once, and
    we were killed half-way, nobody would be left to finish it.
    """
    children = [pid for pid, entry in snapshot().items() if entry.parent == os.getpid()]
    deadline = time.monotonic() + seconds
    for pid in children:
        try:
            process = os.pidfd_open(pid)
        except OSError:
            continue  # gone meanwhile, or to be wiped
        poller = select.poll()
        poller.register(process, select.POLLIN)
        poller.poll(max(0.0, deadline - time.monotonic()) * 1000)
        os.close(process)
    wipe()


def wipe(spare: Iterable[int] = ()) -> None:
    """SIGKILL every descendant of this process, and wait until none is left.

    This process must adopt its orphans, so that nothing escapes by losing its parents. What is killed is
    stopped first, all of it, so that nothing goes on forking meanwhile.

    Args:
        spare: children that live on, with all that is below them.
    """
    spared = list(spare)

    def strays() -> dict[int, Entry]:
        processes = snapshot()
        members = below([os.getpid()], processes) - below(spared, processes)
        return {pid: processes[pid] for pid in members if pid in processes and pid != os.getpid()}

    while found := strays():
        stopped: dict[int, Entry] = {}
        while fresh := {pid: entry for pid, entry in found.items() if pid not in stopped}:
            for pid, entry in fresh.items():
                _signal(pid, entry, signal.SIGSTOP)
            stopped.update(fresh)
            found = strays()
        for pid, entry in stopped.items():
            _signal(pid, entry, signal.SIGKILL)
        for pid in stopped:
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                pass  # somebody else's child, until that one is reaped: the next look finds it here


def _family(ancestor: int) -> dict[int, Entry]:
    """Return `ancestor`, its descendants, and those that daemonised without leaving its session."""
    processes = snapshot()
    members = below(
        {pid for pid, entry in processes.items() if entry.session == ancestor} | {ancestor}, processes
    )
    members.discard(os.getpid())
    return {pid: processes[pid] for pid in sorted(members) if pid in processes}


def kill_family(ancestor: int) -> None:
    """SIGKILL a lane's process with all that it started and that can still be told to be its.

    What has left both its parentage and its session lives on in the session, within the session's limits, and
    ends with it: only the session's own end is a guarantee.
    """
    stopped: dict[int, Entry] = {}
    for _ in range(_ROUNDS):
        fresh = {pid: entry for pid, entry in _family(ancestor).items() if pid not in stopped}
        if not fresh:
            break
        for pid, entry in fresh.items():
            _signal(pid, entry, signal.SIGSTOP)
        stopped.update(fresh)
    for pid, entry in stopped.items():
        _signal(pid, entry, signal.SIGKILL)


def _signal(pid: int, entry: Entry, number: int) -> None:
    """Send a signal to the process that was seen, and to no other that has got its number since."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return  # gone meanwhile
    try:
        now = _entry(pid)
        if now is not None and now.started == entry.started:
            signal.pidfd_send_signal(process, number)
    except ProcessLookupError:
        pass  # gone meanwhile
    finally:
        os.close(process)
