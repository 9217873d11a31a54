"""What takes many sessions: how many a core can start and end per second, and what one holds while idle."""

from __future__ import annotations

import os
import time

import attrs
import trio

from sandbox.launcher import Launcher
from sandbox.profile import Profile
from scripts.benchmark import accounts
from scripts.benchmark.probes import session


@attrs.frozen
class Throughput:
    """Sessions from their start through one call to nothing of them being left.

    Attributes:
        at_once: how many were under way at a time.
        sessions: how many there were.
        seconds: from the first one's start to the last one's end.
        own_cpu_seconds: processor time of this process, the cage and every session.
        machine_cpu_seconds: of everything that ran meanwhile: kernel threads, which tear namespaces and
            control groups down, and strangers.
    """

    at_once: int
    sessions: int
    seconds: float
    own_cpu_seconds: float
    machine_cpu_seconds: float

    @property
    def per_core(self) -> float:
        """Sessions per second of processor time of ours."""
        return self.sessions / self.own_cpu_seconds


async def throughput(launcher: Launcher, profile: Profile, sessions: int, at_once: int) -> Throughput:
    """Run `sessions` sessions, `at_once` at a time."""
    left = iter(range(sessions))

    async def run() -> None:
        for _ in left:
            await session(launcher, profile)

    own, machine = accounts.cpu_seconds(os.getpid()), accounts.machine_cpu_seconds()
    started = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(at_once):
            nursery.start_soon(run)
    seconds = time.perf_counter() - started
    return Throughput(
        at_once,
        sessions,
        seconds,
        accounts.cpu_seconds(os.getpid()) - own,
        accounts.machine_cpu_seconds() - machine,
    )
