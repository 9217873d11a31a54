"""Faults that a test can have happen to its own process."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """Let this process open only `count` descriptors more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(number) for number in os.listdir("/proc/self/fd"))
    plugs: list[int] = []
    while (plug := os.dup(0)) < highest:  # the holes between those that are open
        plugs.append(plug)
    os.close(plug)
    resource.setrlimit(resource.RLIMIT_NOFILE, (plug + count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for plug in plugs:
            os.close(plug)
