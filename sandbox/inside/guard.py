"""Holds the locks of what sessions share for good, so that no session can tell another anything by them.

A root of its own (`sandbox.inside.root`) leaves a session few inodes that others have too. The kernel has
one for all its eventfds, epolls and timers, on the whole machine; a time namespace has one in /proc, where a
lane also finds the program that the zygote was started from; and device files can neither be made in a user
namespace nor be opened through an overlay.

On each the zygote takes a shared lock of either kind, over the whole, before the first session, and keeps it
for its life. From then on the answers are always the same: a shared lock is granted, an exclusive one is
refused, and whoever asks who is in the way is told of the zygote, whose lock is the oldest. Any process of
the host may take such locks; before, a session could take worse.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct

from sandbox.inside import root

_SHARED = (
    "/proc/self/exe",
    "/proc/self/ns/time",  # absent where the kernel has no time namespaces
    "/dev",
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    root.EMPTY,
)
_WHOLE = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)


def occupy() -> list[int]:
    """Take the locks; return the descriptors by which they are held, for as long as one process has them.

    Raises:
        OSError: somebody else holds an exclusive one; none is held then.
    """
    held: list[int] = []
    try:
        with select.epoll() as nameless:
            held.append(os.dup(nameless.fileno()))
        _lock(held[-1], "the kernel's nameless inode")
        for path in _SHARED:
            try:
                held.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            except FileNotFoundError:
                continue
            _lock(held[-1], path)
    except BaseException:
        for descriptor in held:
            os.close(descriptor)
        raise
    return held


def _lock(descriptor: int, what: str) -> None:
    try:
        # Of the open file, not of the process: that would lose it with the first other one that it closes.
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _WHOLE)
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        raise OSError(error.errno, f"lock {what}: {error.strerror}") from None
