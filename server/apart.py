"""Work on what is long, done in a thread, so that all others are served meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

T = TypeVar("T")

LONG_BYTES = 256 * 1024
"""What is shorter is worked on at once: that takes less time than a thread does to begin."""


async def apart(size: int, work: Callable[[], T], limiter: trio.CapacityLimiter | None = None) -> T:
    """Do `work`, in a thread if it is on many bytes. Being cancelled waits for it.

    Args:
        size: how many bytes.
        work: what to do; it does not wait for anybody.
        limiter: bounds how much of such work is done at once; Trio's own for threads by default.
    """
    if size < LONG_BYTES:
        return work()
    return await trio.to_thread.run_sync(work, limiter=limiter)
