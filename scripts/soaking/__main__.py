"""The command: ``python -P -m scripts.soaking``; `scripts/soak --help` tells its options."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click
import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from scripts.child_server import ServerFailedError, creche_serve, open_server
from scripts.soaking import report
from scripts.soaking.soak import SETTINGS, soak


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--sessions", type=click.IntRange(min=4), metavar="N", help="Play N sessions, then look what is left."
)
@click.option("--seed", type=int, default=0, metavar="S", help="Decides the mix; the default is 0.")
@click.option(
    "--clients", type=click.IntRange(min=1), default=32, metavar="C", help="At a time; 32 by default."
)
def main(sessions: int | None, seed: int, clients: int) -> None:
    """Make a server's life hard and look whether it shows. Exit status 0 only if it does not.

    The same seed gives the same mix. What the servers log is kept in a file whose name is printed.
    """
    console = Console()
    try:
        good = trio.run(_run, sessions or 1000, seed, clients, console)
    except ServerFailedError as error:
        click.echo(f"soak: {error}", err=True)
        sys.exit(1)
    sys.exit(0 if good else 1)


async def _run(sessions: int, seed: int, clients: int, console: Console) -> bool:
    log = Path(tempfile.mkdtemp(prefix="creche-soak-")) / "server.log"
    console.print(f"the server's log: {log}", highlight=False)
    with tempfile.TemporaryDirectory() as folder, _progress("sessions", sessions, console) as tick:
        temporary = Path(folder)
        async with open_server(creche_serve("workbench", *SETTINGS), temporary=temporary, log=log) as server:
            result = await soak(server, temporary, sessions=sessions, seed=seed, clients=clients, tick=tick)
    report.show(result, seed, console)
    return not result.problems()


@contextmanager
def _progress(what: str, total: int, console: Console) -> Iterator[partial[None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        yield partial(progress.advance, progress.add_task(what, total=total))


if __name__ == "__main__":
    main()
