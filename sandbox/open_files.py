"""How many open files a server of a given size needs, and taking what the limits allow of them.

The soft limit that a process starts with is 1,024 nearly everywhere, for the sake of programs that use
`select`. The hard limit is what counts, and it is an operator's to raise.
"""

from __future__ import annotations

import resource

LANES = 3
"""How many lanes a session has with the shipped tools."""

_PER_LANE = 5
"""Four pipes and a pidfd."""

_PER_SESSION = 5
"""Besides its lanes: its line, its tree, its init's pidfd, the connection of the client that uses it, and one
for what is opened now and then."""

_OF_SERVER = 256
"""Listeners, logs, the sandboxes in which verdicts are computed."""

_MORE_THAN_GUESTS = 4096
"""The kernel counts descriptors in flight by user, and lets nobody send more while there are as many as its
own soft limit. Guests, who may be the server's own user, have 1,024 (`sandbox.inside.lane`), and go over that
by what each sends at once. The server must be able to send all the same."""


def needed(sessions: int, lanes: int = LANES) -> int:
    """Return how many files a server may come to have open, of so many sessions with so many lanes each."""
    return sessions * (_PER_SESSION + lanes * _PER_LANE) + _OF_SERVER


def hard_limit() -> int | None:
    """Return how many may be open at most; None for as many as the kernel has."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return None if hard == resource.RLIM_INFINITY else hard


def sessions_possible(limit: int, lanes: int = LANES) -> int:
    """Return for how many sessions that is enough; never less than one."""
    return max(1, (limit - _OF_SERVER) // (_PER_SESSION + lanes * _PER_LANE))


def allow(sessions: int, lanes: int = LANES) -> None:
    """Raise this process's soft limit to what so many sessions need, or as far as the hard limit lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(needed(sessions, lanes), _MORE_THAN_GUESTS)
    if hard != resource.RLIM_INFINITY:
        wanted = min(hard, wanted)
    if soft not in (resource.RLIM_INFINITY, wanted) and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
