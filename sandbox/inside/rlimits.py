"""The kernel's limits: those that a cage raises, those that are lowered for sessions, and when."""

from __future__ import annotations

import os
import resource
from typing import Any

from sandbox.inside import plain

_PENDING_SIGNALS = 256  # queued signals and timers


def take_all_allowed() -> None:
    """Raise, in the keeper, what the cage shares among its sessions as far as it may be.

    Descriptors: the server may be short of them now, its cage would be for life. Pending signals: the limit
    in force when a user namespace is made bounds what all its sessions together may have pending.
    """
    for kind, most in ((resource.RLIMIT_NOFILE, None), (resource.RLIMIT_SIGPENDING, resource.RLIM_INFINITY)):
        hard = resource.getrlimit(kind)[1]
        try:
            resource.setrlimit(kind, (most or hard, most or hard))
        except (OSError, ValueError):  # only root raises a hard limit
            resource.setrlimit(kind, (hard, hard))


def set_common() -> None:
    """Set what is the same for every session; once, in the zygote, whose children inherit it."""
    for kind, soft, hard in (
        (resource.RLIMIT_CORE, 1, 1),  # 0 would still start the program that core_pattern names, on the host
        (resource.RLIMIT_MEMLOCK, 0, 0),
        (resource.RLIMIT_MSGQUEUE, 0, 0),
        (resource.RLIMIT_RTPRIO, 0, 0),
        (resource.RLIMIT_NICE, 0, 0),
        (resource.RLIMIT_STACK, 8 << 20, 64 << 20),
    ):
        _lower(kind, soft, hard)


def set_own(request: dict[str, Any]) -> None:
    """Set what a session's request asks for; in its init, once it is in its own user namespace."""
    processes = request["processes"]
    if request["shares_user"]:
        # The kernel counts by user, so what that user has besides is added: a guess, for that changes.
        processes += plain.count_processes_of(os.getuid())
    _lower(resource.RLIMIT_NPROC, processes, processes)
    # Not before the session's user namespace exists: the limit of whoever makes one is the limit of all its
    # brothers together, and one session could then keep the others from having timers or queued signals.
    _lower(resource.RLIMIT_SIGPENDING, _PENDING_SIGNALS, _PENDING_SIGNALS)


def _lower(kind: int, soft: int, hard: int) -> None:
    hardest = resource.getrlimit(kind)[1]
    if hardest != resource.RLIM_INFINITY:
        soft, hard = min(soft, hardest), min(hard, hardest)
    resource.setrlimit(kind, (soft, hard))
