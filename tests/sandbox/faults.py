"""Faults that a test can have happen to its own process."""

from __future__ import annotations

import os
import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def open_descriptors() -> list[int]:
    """Return the numbers of this process's open descriptors, sorted."""
    with os.scandir("/proc/self/fd") as entries:
        numbers = [int(entry.name) for entry in entries]
    return sorted(number for number in numbers if _is_open(number))  # one of them was the listing's own


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


@contextmanager
def descriptors_below(limit: int, pid: int) -> Iterator[None]:
    """Let another process open no descriptor with a number of `limit` or higher."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """Let this process open only `count` descriptors more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = open_descriptors()[-1]
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
