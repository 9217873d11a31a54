"""The command: ``scripts/bench verdicts``: the same rollouts on an idle machine and on an overloaded one.

Not one verdict may differ. Processes that burn processor time, ten for each core, make the load; the server,
its verdicts and its sandboxes compete with them for the rest.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import click
import trio
from rich.console import Console
from rich.table import Table

from scripts.benchmark.burners import burners
from scripts.benchmark.known import Known, known, rounds_per_second
from scripts.child_server import ServerFailedError, creche_serve, open_server
from server.client import AsyncClient
from server.settings import Settings

_ENVIRONMENT = "scripts.benchmark.known:Timed"


@attrs.frozen
class Judged:
    """One rollout's verdict.

    Attributes:
        reward: what it got.
        failure: why it was masked; empty if it was not.
        cases: how its cases ended.
    """

    reward: float
    failure: str
    cases: tuple[str, ...]


@attrs.frozen
class Run:
    """All rollouts, judged.

    Attributes:
        judged: in the order of the rollouts.
        seconds: how long all of it took.
        load: the machine's load average in the end.
    """

    judged: Sequence[Judged]
    seconds: float
    load: float


async def judge(rollouts: Sequence[Known], at_once: int, progress: Callable[[str], None]) -> Run:
    """Have a server judge all of them, through HTTP."""
    judged: dict[int, Judged] = {}
    left = iter(enumerate(rollouts))
    started = time.monotonic()

    async def work(client: AsyncClient) -> None:
        for number, each in left:
            async with client.session({"number": number}) as session:
                verdict = await session.verify(each.response)
            cases = tuple(verdict.body.get("cases", ()))
            judged[number] = Judged(verdict.reward, verdict.failure_kind, cases)
            progress(f"{len(judged)} of {len(rollouts)}")

    async with (
        open_server(creche_serve(_ENVIRONMENT)) as server,
        AsyncClient(server.url) as client,
        trio.open_nursery() as nursery,
    ):
        for _ in range(at_once):
            nursery.start_soon(work, client)
    ordered = [judged[number] for number in range(len(rollouts))]
    return Run(ordered, time.monotonic() - started, os.getloadavg()[0])


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rollouts", default=200, show_default=True, help="How many.")
@click.option("--load", default=10.0, show_default=True, help="Burning processes for each core.")
@click.option(
    "--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write all verdicts there too."
)
def main(rollouts: int, load: float, file: Path | None) -> None:
    """Judge known rollouts on the machine as it is, then overloaded, and compare the verdicts.

    Exit status 0 when no verdict differs, is masked or is wrong.
    """
    console = Console()
    chosen = known(rollouts, rounds_per_second())
    number = round(load * len(os.sched_getaffinity(0)))
    at_once = Settings().max_verifications
    try:
        with console.status("") as status:
            idle = trio.run(judge, chosen, at_once, lambda told: status.update(f"idle: {told}"))
            with burners(number):
                loaded = trio.run(judge, chosen, at_once, lambda told: status.update(f"overloaded: {told}"))
    except ServerFailedError as error:
        click.echo(f"bench: {error}", err=True)
        sys.exit(2)
    faults = show(chosen, idle, loaded, number, console)
    if file is not None:
        file.write_text(json.dumps(as_json(chosen, idle, loaded), indent=1) + "\n", encoding="utf-8")
    sys.exit(1 if faults else 0)


def show(chosen: Sequence[Known], idle: Run, loaded: Run, number: int, console: Console) -> int:
    """Print what came of it; return how many verdicts were not as they must be."""
    table = Table(
        "rollout", "how many", "idle", "overloaded", title="Verdicts under load", title_justify="left"
    )
    for kind in dict.fromkeys(each.kind for each in chosen):
        places = [place for place, each in enumerate(chosen) if each.kind == kind]
        table.add_row(kind, str(len(places)), *(_told(run, places) for run in (idle, loaded)))
    console.print(table)
    differing = [place for place in range(len(chosen)) if idle.judged[place] != loaded.judged[place]]
    for place in differing:
        console.print(
            f"{chosen[place].kind}: {idle.judged[place]} idle, {loaded.judged[place]} overloaded",
            highlight=False,
            soft_wrap=True,
        )
    faults = len(differing)
    for name, run in (("idle", idle), ("overloaded", loaded)):
        wrong = sum(each.reward != must.reward for each, must in zip(run.judged, chosen, strict=True))
        masked = sum(bool(each.failure) for each in run.judged)
        faults += wrong + masked
        told = f"{_share(wrong, chosen)} wrong, {_share(masked, chosen)} masked"
        console.print(
            f"{name}: {run.seconds:.0f} s, load average {run.load:.1f}, {told}",
            highlight=False,
            soft_wrap=True,
        )
    console.print(
        f"differing with {number} burning processes: {_share(len(differing), chosen)}",
        highlight=False,
        soft_wrap=True,
    )
    return faults


def _told(run: Run, places: Sequence[int]) -> str:
    counts = Counter(run.judged[place].failure or run.judged[place].cases[-1] for place in places)
    return ", ".join(f"{count} {word}" for word, count in counts.most_common())


def _share(count: int, chosen: Sequence[Known]) -> str:
    return f"{count} of {len(chosen)} ({count / len(chosen):.1%})"


def as_json(chosen: Sequence[Known], idle: Run, loaded: Run) -> dict[str, Any]:
    """Return all verdicts as a JSON value."""
    runs = {"idle": attrs.asdict(idle), "overloaded": attrs.asdict(loaded)}
    return {"kinds": [each.kind for each in chosen], **runs}


if __name__ == "__main__":
    main()
