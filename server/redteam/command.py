"""``creche redteam``: opens a server of the environment in this process, attacks it, and reports."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio
from rich.console import Console
from rich.progress import Progress

from server.house import open_house
from server.redteam.campaign import Campaign, Findings
from server.redteam.catalogue import ATTACKS
from server.redteam.connection import InProcess
from server.redteam.samples import SAMPLES
from tools.shapes import is_dict

if TYPE_CHECKING:
    from server.environment import Environment
    from server.settings import Settings


class NothingToAttackError(Exception):
    """There are no rows, or no such attack. The message is one sentence with the remedy."""


def read_rows(path: Path, most: int) -> list[dict[str, Any]]:
    """Return the first `most` rows of a file of JSON lines.

    Raises:
        NothingToAttackError: it cannot be read, or has none.
    """
    rows: list[dict[str, Any]] = []
    try:
        for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
            if line.strip() and len(rows) < most:
                row = json.loads(line)
                if not is_dict(row):
                    msg = f"{path}, line {number}, is no JSON object"
                    raise NothingToAttackError(msg)
                rows.append(row)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise NothingToAttackError(msg) from error
    except ValueError as error:
        msg = f"{path} is no file of JSON lines: {error}"
        raise NothingToAttackError(msg) from error
    if not rows:
        msg = f"{path} has no rows"
        raise NothingToAttackError(msg)
    return rows


def rows_of(environment: Environment[Any]) -> Sequence[Mapping[str, Any]]:
    """Return the rows that come with an environment: its own `examples`, or the samples of a shipped one.

    Raises:
        NothingToAttackError: it has none.
    """
    rows = environment.examples or SAMPLES.get(environment.name, ())
    if not rows:
        msg = (
            f"{environment.name} brings no rows to attack: give some with --rows FILE.jsonl, "
            "or name them in the class as `examples`"
        )
        raise NothingToAttackError(msg)
    return rows


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
        NothingToAttackError, UnusableRowError: see there.
    """
    unknown = [str(number) for number in numbers if number not in ATTACKS]
    if unknown:
        msg = f"there is no attack {', '.join(unknown)}: they are numbered 1 to {max(ATTACKS)}"
        raise NothingToAttackError(msg)
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
