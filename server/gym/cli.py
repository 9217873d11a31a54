"""The commands ``creche gym …``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import click
import trio

from server import logs
from server.configuration import drop_secrets, load
from server.errors import StartupError
from server.settings import SettingsError


@click.group()
def gym() -> None:
    """Be a resources server that NeMo Gym starts."""


@gym.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--environment", default="workbench", show_default=True, help="As for `creche serve`.")
@click.option("--name", help="The server's name; by default the environment's.")
@click.option("--rows", type=click.Path(path_type=Path), help="JSON lines: the first five are the examples.")
def init(folder: Path, environment: str, name: str | None, rows: Path | None) -> None:
    """Write into FOLDER what `gym env start` needs to start Creche by itself."""
    from server.gym import examples, scaffold  # noqa: PLC0415  # only this command
    from server.loading import EnvironmentNotFoundError, load_environment  # noqa: PLC0415
    from server.playing.rows import NoRowsError  # noqa: PLC0415

    place, colon, class_name = environment.rpartition(":")
    if place.endswith(".py"):  # NeMo Gym starts servers in their own folders
        environment = f"{Path(place).resolve()}{colon}{class_name}"
    try:
        settings = load(assignments=("log_level=error",), overrides={"environment": environment})
        drop_secrets()
        logs.configure(settings)
        loaded = load_environment(environment)
        chosen = examples.example_rows(loaded, rows)
        played = trio.run(examples.example_rollouts, settings, chosen)
        plan = scaffold.Plan(
            folder=folder,
            name=name or loaded.name,
            environment=environment,
            description=((loaded.__doc__ or loaded.name).strip().partition("\n")[0]).rstrip("."),
            command=scaffold.own_command(),
            rows=examples.lines(chosen),
            rollouts=examples.lines(played),
        )
        for path in scaffold.write(plan):
            click.echo(path)
    except (
        SettingsError,
        StartupError,
        EnvironmentNotFoundError,
        NoRowsError,
        scaffold.CannotBeWrittenError,
    ) as error:
        _refuse(str(error))


@gym.command()
@click.option("--configuration", type=int, required=True, help="The descriptor that app.py has opened.")
def serve(configuration: int) -> None:
    """Serve as NeMo Gym's configuration says; for the app.py that `creche gym init` writes."""
    from server.gym import native  # noqa: PLC0415  # only this command
    from server.serving import serve as run  # noqa: PLC0415

    try:
        settings = native.settings_of(native.read(configuration))
        drop_secrets()
        logs.configure(settings)
        status = trio.run(run, settings, click.echo)
    except (SettingsError, StartupError) as error:
        _refuse(str(error))
    sys.exit(status)


def _refuse(sentence: str) -> NoReturn:
    click.echo(f"creche: {sentence}", err=True)
    sys.exit(1)
