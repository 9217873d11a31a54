"""``creche redteam``: opens a server of the environment in this process, attacks it, and reports."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio
from rich.console import Console
from rich.progress import Progress

from server.house import open_house
from server.playing.connection import InProcess
from server.playing.rows import read_rows, rows_of
from server.redteam.campaign import Campaign, Findings
from server.redteam.catalogue import ATTACKS

if TYPE_CHECKING:
    from server.settings import Settings


class NoSuchAttackError(Exception):
    """There is no attack of that number. The message is one sentence with the remedy."""


async def attack(
    settings: Settings,
    rows: Sequence[Mapping[str, Any]] | None,
    numbers: Sequence[int] = (),
    cpu_seconds: float | None = None,
) -> Findings:
    """Attack the environment that the settings name.

    Args:
        settings: of the server that is opened for it.
        rows: what to play; None takes those that come with the environment.
        numbers: of the attacks; none means all.
        cpu_seconds: the verifier's bound of processor time, if the attack on it is to be tried.

    Raises:
        StartupError: the server cannot be opened.
        NoSuchAttackError, NoRowsError, UnusableRowError: see there.
    """
    unknown = [str(number) for number in numbers if number not in ATTACKS]
    if unknown:
        msg = f"there is no attack {', '.join(unknown)}: they are numbered 1 to {max(ATTACKS)}"
        raise NoSuchAttackError(msg)
    chosen = tuple(ATTACKS[number] for number in numbers) or tuple(ATTACKS.values())
    async with open_house(settings) as house:
        environment = house.sessions.environment
        with Progress(transient=True, console=Console(file=sys.stderr)) as bar:
            task = bar.add_task("playing each row without an attack", total=None)
            campaign = Campaign(
                connection=InProcess(house.front),
                environment=environment.name,
                tools=environment.toolbox.tools,
                cpu_seconds=cpu_seconds,
                attacks=chosen,
                progress=lambda what, played, of: bar.update(
                    task, description=what, completed=played, total=of
                ),
            )
            return await campaign.run(rows if rows is not None else rows_of(environment))


def run(
    settings: Settings, rows: Path | None, most: int, numbers: Sequence[int], cpu_seconds: float | None
) -> Findings:
    """Do all of it; see `attack`."""
    read = None if rows is None else read_rows(rows, most)
    return trio.run(attack, settings, read, numbers, cpu_seconds)
