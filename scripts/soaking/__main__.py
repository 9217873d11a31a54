"""The command: ``python -P -m scripts.soaking``; `scripts/soak --help` tells its options."""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import attrs
import click
import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from scripts.child_server import ServerFailedError, creche_serve, open_server
from scripts.soaking import fuzz, overload, report
from scripts.soaking.kills import kill_servers, problems, summary
from scripts.soaking.soak import SETTINGS, soak

_OTHER_DESCRIPTORS = 64


@attrs.frozen
class _Plan:
    """What to do, with which chance, and how much of it at a time."""

    seed: int
    clients: int
    log: Path
    console: Console


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--sessions", type=click.IntRange(min=4), metavar="N", help="Play N sessions; look what is left."
)
@click.option(
    "--kills", type=click.IntRange(min=1), metavar="N", help="Kill N servers in the middle of soaks."
)
@click.option("--seeds", type=click.IntRange(min=1), metavar="N", help="Seed N sessions at once.")
@click.option("--requests", type=click.IntRange(min=1), metavar="N", help="Send N requests made at random.")
@click.option("--seed", type=int, default=0, metavar="S", help="Decides the mix; the default is 0.")
@click.option(
    "--clients", type=click.IntRange(min=1), default=32, metavar="C", help="At a time; 32 by default."
)
def main(
    sessions: int | None, kills: int | None, seeds: int | None, requests: int | None, seed: int, clients: int
) -> None:
    """Make a server's life hard and look whether it shows. Exit status 0 only if it does not.

    Without options that say what to do, 1,000 sessions are played. The same seed gives the same mix. What the
    servers log is in a file whose name is printed, and kept if something was not as it must be.
    """
    console = Console()
    plan = _Plan(seed, clients, Path(tempfile.mkdtemp(prefix="creche-soak-")) / "server.log", console)
    console.print(f"the servers' log: {plan.log}", highlight=False)
    good = True
    try:
        if sessions or not (kills or seeds or requests):
            good &= trio.run(_soak, sessions or 1000, plan)
        if kills:
            good &= trio.run(_kill, kills, plan)
        if seeds:
            good &= trio.run(_overload, seeds, plan)
        if requests:
            good &= trio.run(_fuzz, requests, plan)
    except ServerFailedError as error:
        click.echo(f"soak: {error}", err=True)
        sys.exit(1)
    if good:
        shutil.rmtree(plan.log.parent)
    sys.exit(0 if good else 1)


async def _soak(sessions: int, plan: _Plan) -> bool:
    with _temporary() as temporary, _progress("sessions", sessions, plan.console) as tick:
        command = creche_serve("workbench", *SETTINGS)
        async with open_server(command, temporary=temporary, log=plan.log) as server:
            result = await soak(
                server, temporary, sessions=sessions, seed=plan.seed, clients=plan.clients, tick=tick
            )
    report.show(result, plan.seed, plan.console)
    return not result.problems()


async def _kill(count: int, plan: _Plan) -> bool:
    with _temporary() as temporary, _progress("kills", count, plan.console) as tick:
        kills = await kill_servers(count, temporary, plan.log, plan.seed, plan.clients, tick)
    return report.show_figures(summary(kills), problems(kills), plan.console)


async def _overload(count: int, plan: _Plan) -> bool:
    _allow_descriptors(count + _OTHER_DESCRIPTORS)
    with _progress("seeds", count, plan.console) as tick:
        command = creche_serve("workbench", *overload.SETTINGS)
        async with open_server(command, log=plan.log) as server:
            seen = await overload.overload(server, count, tick)
    return report.show_figures(seen.summary(), seen.problems(count), plan.console)


async def _fuzz(count: int, plan: _Plan) -> bool:
    with _temporary() as temporary, _progress("requests", count, plan.console) as tick:
        command = creche_serve("workbench", *fuzz.SETTINGS)
        async with open_server(command, temporary=temporary, log=plan.log) as server:
            seen = await fuzz.fuzz(server, temporary, count, plan.seed, tick)
    return report.show_figures(seen.summary(), seen.problems(plan.log), plan.console)


def _allow_descriptors(number: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, hard), hard))


@contextmanager
def _temporary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@contextmanager
def _progress(what: str, total: int, console: Console) -> Iterator[partial[None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        yield partial(progress.advance, progress.add_task(what, total=total))


if __name__ == "__main__":
    main()
