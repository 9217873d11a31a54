"""How many open files a server of a given size needs, and taking what the limits allow of them.

The soft limit that a process starts with is 1,024 nearly everywhere, for the sake of programs that use
`select`. The hard limit is what counts, and it is an operator's to raise.
"""

from __future__ import annotations

import resource

PER_SESSION = 20
"""A session of three lanes: its line, its tree, a pidfd for each process, four pipes for each lane, and the
connection of the client that uses it."""

_OF_SERVER = 256
"""Listeners, logs, the sandboxes in which verdicts are computed."""


def needed(sessions: int) -> int:
    """Return how many files a server of so many sessions may come to have open."""
    return sessions * PER_SESSION + _OF_SERVER


def hard_limit() -> int | None:
    """Return how many may be open at most; None for as many as the kernel has."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return None if hard == resource.RLIM_INFINITY else hard


def sessions_possible(limit: int) -> int:
    """Return for how many sessions that is enough; never less than one."""
    return max(1, (limit - _OF_SERVER) // PER_SESSION)


def allow(sessions: int) -> None:
    """Raise this process's soft limit to what so many sessions need, or as far as the hard limit lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = needed(sessions) if hard == resource.RLIM_INFINITY else min(hard, needed(sessions))
    if soft not in (resource.RLIM_INFINITY, wanted) and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
