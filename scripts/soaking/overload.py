"""Asks one server for far more sessions at once than there may be, and looks who waits for what.

Every seed is a client of its own, with its own connection. They are begun in order, faster than places become
free, so the order of the answers can be compared with that of the seeds. While they wait, one client calls a
tool of its session and others verify theirs, and these must not wait for the line.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import trio

from scripts.child_server import ChildServer
from scripts.quantiles import milliseconds, quantile
from scripts.soaking.player import Player, Surprise, open_player

CEILING = 64
SETTINGS = ("--set", f"max_sessions={CEILING}")

MOST_OUT_OF_ORDER = 2 * CEILING
"""By how many places an answer may be early or late. A server that keeps the order still sees requests that
are sent at the same moment in another one, and answers as many at a time as there are places."""

_MIB = 1 << 20
_ROW: dict[str, Any] = {"expected_files": {"a.txt": "1"}}


@attrs.define
class Overload:
    """What was seen.

    Attributes:
        seconds: from sending a seed to its answer, for each, in the order of sending.
        order: the numbers of the seeds in the order of their answers.
        call_seconds: how long each call of a session that lived already took meanwhile.
        verify_seconds: how long each verdict took.
        resident_before, resident_peak: the server's memory in bytes.
        surprises: what was not answered as it must be.
    """

    seconds: dict[int, float] = attrs.field(factory=dict[int, float])
    order: list[int] = attrs.field(factory=list[int])
    call_seconds: list[float] = attrs.field(factory=list[float])
    verify_seconds: list[float] = attrs.field(factory=list[float])
    resident_before: int = 0
    resident_peak: int = 0
    surprises: list[str] = attrs.field(factory=list[str])

    def problems(self, seeds: int) -> list[str]:
        """Return a line for whatever was not as it must be."""
        lines = list(self.surprises)
        if sorted(self.order) != list(range(seeds)):
            lines.append(f"{seeds - len(self.order)} of {seeds} seeds were not answered")
        displaced = max((abs(place - number) for place, number in enumerate(self.order)), default=0)
        if displaced > MOST_OUT_OF_ORDER:
            lines.append(f"a seed was answered {displaced} places out of its turn")
        slowest = max(self.seconds.values(), default=0.0)
        # Whoever has to wait for the whole line waits about as long as the last seed does.
        for what, seconds in (("call", self.call_seconds), ("verify", self.verify_seconds)):
            if not seconds or quantile(seconds, 0.5) > slowest / 4:
                lines.append(
                    f"a {what} took {quantile(seconds, 0.5):.2f} s, the slowest seed {slowest:.2f} s"
                )
        return lines

    def summary(self) -> str:
        """Return the figures in one line."""
        waits = list(self.seconds.values())
        return (
            f"{len(waits)} seeds at once for {CEILING} places: answered after {quantile(waits, 0.5):.2f} s"
            f" (p50), {quantile(waits, 0.99):.2f} s (p99); meanwhile a call took"
            f" {milliseconds(quantile(self.call_seconds, 0.5))}, a verify"
            f" {milliseconds(quantile(self.verify_seconds, 0.5))} (p50); the server's memory:"
            f" {self.resident_before / _MIB:.0f} MiB before, {self.resident_peak / _MIB:.0f} MiB at most"
        )


async def overload(server: ChildServer, seeds: int, tick: Callable[[], None] = lambda: None) -> Overload:
    """Seed `seeds` sessions at once; each is used and verified as soon as it is there.

    Args:
        server: started with `SETTINGS`.
        seeds: how many; the open files of this process must allow as many connections.
        tick: called after each.
    """
    seen = Overload(resident_before=resident(server.pid))
    over = trio.Event()

    async def client(number: int, player: Player) -> None:
        started = trio.current_time()
        try:
            await player.seed(_ROW)
            seen.seconds[number] = trio.current_time() - started
            seen.order.append(number)
            await player.call("python", code="open('a.txt', 'w').write('1')")
            started = trio.current_time()
            await player.verify(_ROW)
            seen.verify_seconds.append(trio.current_time() - started)
        except Surprise as error:
            seen.surprises.append(f"seed {number}: {error}")
        tick()

    async def connected(number: int) -> None:
        async with open_player(server.url) as player:
            await client(number, player)

    async with open_player(server.url) as bystander, trio.open_nursery() as nursery:
        await bystander.seed(_ROW)
        nursery.start_soon(_call_now_and_then, bystander, seen, over)
        nursery.start_soon(_watch, server.pid, seen, over)
        async with trio.open_nursery() as clients:
            for number in range(seeds):
                clients.start_soon(connected, number)
                await trio.lowlevel.checkpoint()
        over.set()
    return seen


async def _call_now_and_then(player: Player, seen: Overload, over: trio.Event) -> None:
    while not over.is_set():
        started = trio.current_time()
        try:
            await player.call("python", code="1")
        except Surprise as error:
            seen.surprises.append(f"the bystander: {error}")
            return
        seen.call_seconds.append(trio.current_time() - started)
        await trio.sleep(0.02)


async def _watch(pid: int, seen: Overload, over: trio.Event) -> None:
    while not over.is_set():
        seen.resident_peak = max(seen.resident_peak, resident(pid))
        with trio.move_on_after(0.05):
            await over.wait()


def resident(pid: int) -> int:
    """Return a process's resident memory in bytes."""
    rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("VmRSS:"))
