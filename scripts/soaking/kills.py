"""SIGKILL for a server in the middle of a soak: nothing survives, and the next start is clean."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Collection
from pathlib import Path

import attrs
import trio

from sandbox.linux import calls
from scripts.child_server import creche_serve, open_server
from scripts.quantiles import milliseconds, quantile
from scripts.soaking.census import descendants_now, groups_of, is_dead
from scripts.soaking.player import Surprise, open_player
from scripts.soaking.soak import play

GONE_SECONDS = 2.0
"""How long after the kill the last process may live, on a machine that does nothing else. It takes hundredths
of a second of processor time, for which on a busy one all else competes."""

_PATIENCE_SECONDS = 60.0
_PR_SET_CHILD_SUBREAPER = 36
_ENOUGH = 1 << 30
_ROW = {"expected_files": {"a.txt": "1"}}


@attrs.frozen
class Kill:
    """One server's end.

    Attributes:
        alive: how many processes it had below it when it was killed.
        seconds: from the kill until none of them was alive; infinite if some still were in the end.
        left: what else there was in the end, or after the next start.
    """

    alive: int
    seconds: float
    left: list[str]


def problems(kills: list[Kill], gone_seconds: float = GONE_SECONDS) -> list[str]:
    """Return a line for whatever was not as it must be."""
    lines: list[str] = []
    for number, kill in enumerate(kills):
        if kill.seconds > gone_seconds:
            lines.append(f"kill {number}: processes lived on for {kill.seconds:.1f} s")
        lines += [f"kill {number}: {line}" for line in kill.left]
    return lines


def _mounts() -> Collection[str]:
    return Path("/proc/self/mountinfo").read_text("utf-8").splitlines()


def summary(kills: list[Kill]) -> str:
    """Return the figures in one line."""
    seconds = [kill.seconds for kill in kills]
    alive = [float(kill.alive) for kill in kills]
    gone = f"{milliseconds(quantile(seconds, 0.5))} at the median, {milliseconds(max(seconds))} at most"
    below = f"{quantile(alive, 0.5):.0f} processes at the median, {max(alive):.0f} at most"
    return f"{len(kills)} kills of servers with {below}; all gone after {gone}"


async def kill_servers(
    count: int,
    temporary: Path,
    log: Path,
    seed: int,
    clients: int,
    tick: Callable[[], None] = lambda: None,
    mounts: Callable[[], Collection[str]] = _mounts,
) -> list[Kill]:
    """Kill `count` servers, each at a random moment of a soak of its own, and look what is left.

    This process becomes a subreaper, so that whatever a killed server leaves behind is found below it.

    Args:
        count: how many.
        temporary: their TMPDIR.
        log: where their stderr goes.
        seed: decides mixes and moments.
        clients: how many sessions at a time.
        tick: called after each.
        mounts: lists the mounts here, but for those that others make and undo meanwhile.
    """
    calls.check(calls.libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "PR_SET_CHILD_SUBREAPER")
    kills: list[Kill] = []
    killed = 0
    for number in range(count + 1):
        chance = random.Random(f"{seed}/kill/{number}")  # noqa: S311  # chance, not secrecy
        strangers = set(descendants_now(os.getpid()))
        command = creche_serve("workbench", "--set", "max_sessions=64")
        async with open_server(command, temporary=temporary, log=log) as server:
            if kills:  # the start that has just been is the next one of the kill before
                kills[-1].left.extend([f"{group} after the next start" for group in groups_of(killed)])
                kills[-1].left.extend(await _refusals(server.url))
            if number == count:
                break
            async with trio.open_nursery() as nursery:
                numbers = range(number * 10_000, _ENOUGH)
                nursery.start_soon(play, server.url, numbers, seed, clients, lambda: None)
                await trio.sleep(chance.uniform(0.1, 1.0))
                killed = server.pid
                kills.append(await _kill(killed, strangers, temporary, mounts))
                nursery.cancel_scope.cancel()
        tick()
    return kills


async def _kill(
    server: int, strangers: set[int], temporary: Path, mounts: Callable[[], Collection[str]]
) -> Kill:
    before = mounts()
    alive = len(descendants_now(server))
    started = trio.current_time()
    os.kill(server, signal.SIGKILL)
    left = _living(server, strangers)
    while left and trio.current_time() < started + _PATIENCE_SECONDS:
        await trio.sleep(0.002)
        left = _living(server, strangers)
    seconds = float("inf") if left else trio.current_time() - started
    lines = [f"process {pid}" for pid in left] + _files(temporary)
    if before != mounts():
        lines.append("the table of mounts is another one")
    return Kill(alive, seconds, lines)


def _files(folder: Path) -> list[str]:
    return [f"file {path}" for path in folder.iterdir()]


def _living(server: int, strangers: set[int]) -> list[int]:
    """Return what lives of a server, and reap what is dead; the server itself is another's to reap."""
    below = [pid for pid in descendants_now(os.getpid()) if pid not in strangers]
    return [pid for pid in below if not is_dead(pid, reap=pid != server)]


async def _refusals(url: str) -> list[str]:
    async with open_player(url) as player:
        try:
            await player.seed(_ROW)
            await player.call("python", code="open('a.txt', 'w').write('1')")
            await player.verify(_ROW)
        except Surprise as error:
            return [f"the next start: {error}"]
    return []
