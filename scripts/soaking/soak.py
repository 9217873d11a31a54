"""Plays many sessions at once against one server, in a mix that a seed decides."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import attrs
import trio

from scripts.child_server import ChildServer
from scripts.soaking.census import Census, settle, steady
from scripts.soaking.player import Player, Surprise, open_player
from scripts.soaking.scenarios import SCENARIOS, Scenario

SETTINGS = (
    "--set", "max_sessions=64", "--set", "max_records=256", "--set", "reverify_bytes=0",
)  # fmt: skip
"""For a server that is to be weighed: what it remembers of sessions that are over, and which of their files
it keeps, is bounded in any case; but a soak would end before it reached the default bounds."""

_WEIGHTS = [scenario.weight for scenario in SCENARIOS]
_MOST_TOLD = 20


def choose(seed: int, number: int) -> tuple[Scenario, random.Random]:
    """Return what session `number` of the soak `seed` is, and its own chance, whoever plays it and when."""
    chance = random.Random(f"{seed}/{number}")  # noqa: S311  # chance, not secrecy
    return chance.choices(SCENARIOS, _WEIGHTS)[0], chance


@attrs.define
class Tally:
    """What was played, and what went wrong."""

    played: Counter[str] = attrs.field(factory=Counter[str])
    surprises: list[str] = attrs.field(factory=list[str])

    def note(self, scenario: Scenario, number: int, error: Surprise) -> None:
        """Keep the first surprises, which are the ones worth reading."""
        if len(self.surprises) < _MOST_TOLD:
            self.surprises.append(f"session {number}, {scenario.name}: {error}")


async def play(url: str, numbers: range, seed: int, clients: int, tick: Callable[[], None]) -> Tally:
    """Play the sessions `numbers` of a soak, `clients` at a time; `tick` is called after each."""
    tally = Tally()
    left = iter(numbers)

    async def client() -> None:
        async with open_player(url) as player:
            for number in left:
                await _play_one(player, number, seed, tally)
                tick()

    async with trio.open_nursery() as nursery:
        for _ in range(clients):
            nursery.start_soon(client)
    return tally


async def _play_one(player: Player, number: int, seed: int, tally: Tally) -> None:
    scenario, chance = choose(seed, number)
    player.begin(chance)
    try:
        await scenario.play(player)
    except Surprise as error:
        tally.note(scenario, number, error)
    tally.played[scenario.name] += 1


@attrs.frozen
class Result:
    """A soak that is over.

    Attributes:
        tally: what was played.
        seconds: how long it took, without warming up and settling.
        baseline: what the server held before; `resident` is of the moment after the warming up.
        after: what it held in the end.
    """

    tally: Tally
    seconds: float
    baseline: Census
    after: Census

    def problems(self) -> list[str]:
        """Return a line for whatever was not as it must be."""
        lines = list(self.tally.surprises)
        for name, (then, now) in self.after.over(self.baseline).items():
            lines.append(f"{name}: {then} at the baseline, {now} in the end")
        return lines


async def soak(
    server: ChildServer,
    temporary: Path,
    *,
    sessions: int,
    seed: int,
    clients: int,
    tick: Callable[[], None] = lambda: None,
) -> Result:
    """Soak a fresh server and compare what it holds afterwards with what it held before.

    Counts are compared with those before the first session. Memory is compared with that after a quarter of
    the sessions, at most 1,000: until then code is imported at its first use, and the records of ended
    sessions reach their bound.

    Args:
        server: started with `SETTINGS`; nobody else may use it.
        temporary: its TMPDIR.
        sessions: how many, the warming up included.
        seed: decides the mix.
        clients: how many sessions at a time.
        tick: called after each session.
    """
    fresh = await steady(server, temporary)
    warming = min(1000, sessions // 4)
    started = trio.current_time()
    first = await play(server.url, range(warming), seed, clients, tick)
    warm = await settle(server.pid, temporary, attrs.evolve(fresh, resident=1 << 60, threads=1 << 60))
    rest = await play(server.url, range(warming, sessions), seed, clients, tick)
    seconds = trio.current_time() - started
    baseline = attrs.evolve(fresh, resident=warm.resident)
    after = await settle(server.pid, temporary, baseline)
    return Result(
        Tally(first.played + rest.played, first.surprises + rest.surprises), seconds, baseline, after
    )
