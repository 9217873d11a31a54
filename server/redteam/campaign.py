"""Plays nop, oracle and every applicable attack on every row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import trio

from server.redteam.attempt import Attack, Attempt
from server.redteam.catalogue import ATTACKS
from server.redteam.findings import Baseline, Result, Tried, weigh
from server.redteam.player import Played, play
from server.redteam.target import Target

if TYPE_CHECKING:
    from server.playing.connection import Connection
    from tools.registry import Tool

NOP = Attempt(label="nop")
_AT_ONCE = 3
"""Attempts at once: their sessions wait more than they compute, and verdicts must not crowd each other out."""


class UnusableRowError(Exception):
    """A row cannot be attacked because it cannot be played. The message is one sentence."""


@attrs.frozen(kw_only=True)
class PlayedRow:
    """A row without any attack: what an agent that does nothing got for it, and the reference solution."""

    number: int
    nop: Played
    oracle: Played | None

    @property
    def baseline(self) -> Baseline:
        """Return the rewards."""
        return Baseline(nop=self.nop.reward, oracle=None if self.oracle is None else self.oracle.reward)

    @property
    def problems(self) -> list[str]:
        """What is wrong with the row's verifier before any attack."""
        found: list[str] = []
        if self.nop.reward > 0:
            found.append(f"an agent that does nothing is rewarded {self.nop.reward:g}: it must score 0")
        if self.oracle is not None and self.oracle.reward <= max(self.nop.reward, 0.0):
            found.append(
                f"the reference solution is rewarded {self.oracle.reward:g}: {self.oracle.told or 'it must score'}"
            )
        return found


@attrs.frozen(kw_only=True)
class Findings:
    """All that a campaign has shown."""

    environment: str
    rows: Sequence[PlayedRow]
    results: Sequence[Result]

    @property
    def holes(self) -> list[Result]:
        """The attacks that worked, by number."""
        return [result for result in self.results if result.word.is_hole]

    @property
    def problems(self) -> list[str]:
        """What is wrong with rows, before any attack."""
        return [f"row {row.number}: {problem}" for row in self.rows for problem in row.problems]


@attrs.frozen(kw_only=True)
class Campaign:
    """What to attack, and how.

    Attributes:
        connection: the way to the server.
        environment: its name, for the report.
        tools: the environment's, by name.
        cpu_seconds: the verifier's bound of processor time; None leaves out the attack on it.
        attacks: which ones.
        progress: told before each attempt what it is, and how many of how many were played.
    """

    connection: Connection
    environment: str
    tools: Mapping[str, Tool]
    cpu_seconds: float | None = None
    attacks: Sequence[Attack] = attrs.field(factory=lambda: tuple(ATTACKS.values()))
    progress: Callable[[str, int, int], None] = lambda _what, _played, _of: None

    async def run(self, rows: Sequence[Mapping[str, Any]]) -> Findings:
        """Attack all rows.

        Raises:
            UnusableRowError: a row gives no verdict even to an agent that does nothing.
        """
        targets = [Target.of(row, self.tools, self.cpu_seconds) for row in rows]
        played = [await self._unattacked(number, target) for number, target in enumerate(targets, 1)]
        plans = [
            (attack, row, target, attempt)
            for attack in self.attacks
            for row, target in zip(played, targets, strict=True)
            for attempt in attack.make(target)
        ]
        tried: dict[int, list[tuple[int, Tried]]] = {attack.number: [] for attack in self.attacks}
        limiter = trio.CapacityLimiter(_AT_ONCE)
        begun = 0

        async def go(place: int, attack: Attack, row: PlayedRow, target: Target, attempt: Attempt) -> None:
            nonlocal begun
            async with limiter:
                self.progress(f"{attack.number} {attack.name}: {attempt.label}", begun, len(plans))
                begun += 1
                came = await play(self.connection, target.row, attempt)
                tried[attack.number].append((place, weigh(row.number, attempt, came, row.baseline)))

        async with trio.open_nursery() as nursery:
            for place, plan in enumerate(plans):
                nursery.start_soon(go, place, *plan)
        results = [
            Result(
                attack=attack,
                tried=[each for _, each in sorted(tried[attack.number], key=lambda pair: pair[0])],
            )
            for attack in self.attacks
        ]
        return Findings(environment=self.environment, rows=played, results=results)

    async def _unattacked(self, number: int, target: Target) -> PlayedRow:
        nop = await play(self.connection, target.row, NOP)
        if nop.failure is not None or "reward" not in nop.reply:
            why = nop.told or nop.reply.get("detail") or f"/verify was answered with {nop.status}"
            msg = f"row {number} gives no verdict even to an agent that does nothing: {why}"
            raise UnusableRowError(msg)
        oracle = target.oracle()
        return PlayedRow(
            number=number,
            nop=nop,
            oracle=None if oracle is None else await play(self.connection, target.row, oracle),
        )
