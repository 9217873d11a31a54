"""Plays HumanEval against a server of its own: ``python -P -m scripts.humaneval [--limit N]``."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import click
import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from scripts.child_server import ChildServer, ServerFailedError, creche_serve, open_server
from scripts.humaneval.agent import Played, Times, play
from scripts.humaneval.problems import NoDataError, Problem, load_problems
from scripts.humaneval.report import Result
from server.client import AsyncClient

AGENTS = 16


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Play the first N problems only.")
def main(limit: int | None) -> None:
    """Play all problems of HumanEval as HTTP rollouts, with correct solutions and with ones that return None.

    Exit status 0 only if every correct solution and no other was rewarded, and nothing was left behind.
    """
    console = Console()
    try:
        result = trio.run(_run, load_problems()[:limit], console)
    except (NoDataError, ServerFailedError) as error:
        click.echo(f"run: {error}", err=True)
        sys.exit(1)
    result.show(console)
    click.echo("Your own server: .venv/bin/creche serve workbench   (creche serve --help says more)")
    sys.exit(1 if result.problems() else 0)


async def _run(problems: Sequence[Problem], console: Console) -> Result:
    times = Times()
    console.print("starting creche serve code_gen", highlight=False)
    async with open_server(creche_serve("code_gen")) as server:
        console.print(
            f"playing {len(problems)} problems twice, {AGENTS} at a time, on {server.url}", highlight=False
        )
        started = time.perf_counter()
        canonical, control = await _play_all(server, problems, times, console)
        seconds = time.perf_counter() - started
        alive = await _alive(server)
    return Result(canonical, control, times, seconds, alive, server.status)


async def _play_all(
    server: ChildServer, problems: Sequence[Problem], times: Times, console: Console
) -> tuple[list[Played], list[Played]]:
    """Play every problem twice; each agent takes the next rollout when it has finished one."""
    canonical: list[Played] = []
    control: list[Played] = []
    rollouts = iter(
        [(problem, problem.solution(), canonical) for problem in problems]
        + [(problem, problem.control(), control) for problem in problems]
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("rollouts", total=2 * len(problems))

        async def agent(client: AsyncClient) -> None:
            for problem, source, played in rollouts:
                played.append(await play(client, problem, source, times))
                progress.advance(bar)

        async with AsyncClient(server.url) as client, trio.open_nursery() as nursery:
            for _ in range(AGENTS):
                nursery.start_soon(agent, client)
    return canonical, control


async def _alive(server: ChildServer) -> int:
    async with AsyncClient(server.url) as client:
        return int((await client.health())["sandboxes"])


if __name__ == "__main__":
    main()
