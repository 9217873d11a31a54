"""Plays recorded rollouts: ``python -P -m scripts.replaying FILE [--environment NAME]``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import click
import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from scripts.child_server import ServerFailedError, creche_serve, open_server
from scripts.replaying.player import Replayed, replay
from scripts.replaying.recording import Recording, UnreadableError, environment_for, read_recordings
from scripts.replaying.report import is_success, show
from server.client import AsyncClient
from server.environments import SHIPPED

AGENTS = 8


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--environment", metavar="NAME", help="What to serve, if the file's path does not tell.")
@click.option(
    "--rows", type=click.Path(path_type=Path), metavar="FILE", help="The data set, if not beside FILE."
)
@click.option("--url", metavar="URL", help="Ask this server instead of starting one.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Play the first N rollouts only.")
def main(file: Path, environment: str | None, rows: Path | None, url: str | None, limit: int | None) -> None:
    """Play the rollouts recorded in FILE again and compare the rewards.

    The recorded tool calls are made again, in a new session for each rollout, and the recorded response is
    verified. Exit status 0 only if every reward is the recorded one. A rollout whose row is nowhere to be
    found, or that was recorded as a failure, is listed and not counted.
    """
    console = Console()
    try:
        recordings = read_recordings(file, rows)[:limit]
        command = None if url else creche_serve(_environment(environment, file))
        played = trio.run(_run, recordings, command, url, console)
    except (UnreadableError, ServerFailedError) as error:
        click.echo(f"replay: {error}", err=True)
        sys.exit(2)
    show(played, console)
    sys.exit(0 if is_success(played) else 1)


def _environment(given: str | None, file: Path) -> str:
    found = given or environment_for(file)
    if found is None:
        msg = f"{file} names no environment: give --environment, with one of {', '.join(SHIPPED)} or your own"
        raise UnreadableError(msg)
    return found


async def _run(
    recordings: Sequence[Recording], command: Sequence[str] | None, url: str | None, console: Console
) -> list[Replayed]:
    async with AsyncExitStack() as stack:
        if command is not None:
            console.print(f"starting {' '.join(['creche', *command[1:3]])}", highlight=False)
            url = (await stack.enter_async_context(open_server(command))).url
        client = await stack.enter_async_context(AsyncClient(url or ""))
        return await _play_all(client, recordings, console)


async def _play_all(client: AsyncClient, recordings: Sequence[Recording], console: Console) -> list[Replayed]:
    """Play every recording; each agent takes the next one when it has finished one."""
    played: list[Replayed] = []
    left = iter(recordings)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("rollouts", total=len(recordings))

        async def agent() -> None:
            for recording in left:
                played.append(await replay(client, recording))
                progress.advance(bar)

        async with trio.open_nursery() as nursery:
            for _ in range(AGENTS):
                nursery.start_soon(agent)
    return played


if __name__ == "__main__":
    main()
