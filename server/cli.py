"""The command `creche`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NoReturn

import click
import trio

from server import logs
from server.configuration import drop_secrets, load
from server.errors import StartupError
from server.gym.cli import gym
from server.settings import Settings, SettingsError
from server.version import VERSION

_config = click.option(
    "--config", type=click.Path(), metavar="FILE", help="A TOML file with settings (or CRECHE_CONFIG)."
)
_set = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="One setting; wins over the other sources.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="creche")
def main() -> None:
    """A resources server for reinforcement-learning rollouts that run untrusted code."""


main.add_command(gym)


@main.command()
@click.argument("environment", required=False)
@click.option("--bind", metavar="HOST:PORT", help="Where to listen; port 0 picks a free one.")
@_config
@_set
@click.option("--unsafe-no-isolation", is_flag=True, help="Run model code without isolation. Loopback only.")
def serve(
    environment: str | None,
    bind: str | None,
    config: str | None,
    assignments: tuple[str, ...],
    unsafe_no_isolation: bool,  # noqa: FBT001  # click passes flags so
) -> None:
    """Serve ENVIRONMENT (default: workbench): a name, package.module:Class or path/to/file.py:Class."""
    from server.house import LESS_THAN_FULL  # noqa: PLC0415  # brings Quart along
    from server.serving import serve as run  # noqa: PLC0415  # Hypercorn and Quart take long to import

    if unsafe_no_isolation:
        assignments = ("tier=none", "unsafe_no_isolation=true", *assignments)
    settings = _settings(config, assignments, environment=environment, bind=bind)
    drop_secrets()
    logs.configure(settings)
    if settings.tier == "none":
        # Whatever the level of the log.
        click.echo(f"creche: WARNING: {LESS_THAN_FULL['none']}", err=True)
    try:
        status = trio.run(run, settings, _announce)
    except StartupError as error:
        _refuse(str(error))
    sys.exit(status)


@main.command()
@_config
@_set
def doctor(config: str | None, assignments: tuple[str, ...]) -> None:
    """Show what isolation this machine can give, and how to get what is missing.

    The settings are those that `creche serve` would have: which interpreter, how many sessions.
    """
    from server import examination  # noqa: PLC0415  # only this command needs it

    sys.exit(examination.main(_settings(config, assignments)))


@main.command()
@click.argument("environment", default="workbench")
def tools(environment: str) -> None:
    """Print ENVIRONMENT's tools as function definitions, for a dataset's responses_create_params.tools."""
    from server.loading import EnvironmentNotFoundError, load_environment  # noqa: PLC0415  # only this command
    from tools.registry import ToolError  # noqa: PLC0415

    try:
        definitions = load_environment(environment).toolbox.definitions()
    except (EnvironmentNotFoundError, ToolError) as error:
        _refuse(str(error))
    click.echo(json.dumps(definitions, indent=2))


@main.command()
@click.argument("environment")
@click.option("--rows", type=click.Path(path_type=Path), help="Rows of the environment, as JSON lines.")
@click.option("--most", default=3, show_default=True, help="How many rows of the file to play.")
@click.option("--attack", "numbers", type=int, multiple=True, help="Only the attack of this number.")
@click.option("--cpu-seconds", type=float, help="The verifier's bound of processor time, to attack it too.")
@click.option("--config", type=click.Path(), metavar="FILE", help="The server's settings.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="One setting.")
@click.option("--output", type=click.Path(path_type=Path), help="Write the report there too, as Markdown.")
@click.option("--json", "is_json", is_flag=True, help="Print the findings as JSON.")
def redteam(  # noqa: PLR0913, PLR0917  # one parameter per option
    environment: str,
    rows: Path | None,
    most: int,
    numbers: tuple[int, ...],
    cpu_seconds: float | None,
    config: str | None,
    assignments: tuple[str, ...],
    output: Path | None,
    is_json: bool,  # noqa: FBT001  # click passes flags so
) -> None:
    """Attack ENVIRONMENT's verifier as a model would, and report what it falls for.

    Plays an agent that does nothing, the row's reference solution, and every known attack that applies.
    Exit status 0 when all of them were held, 1 when one was not, 2 when nothing could be attacked.
    """
    from rich.console import Console  # noqa: PLC0415  # only this command

    from server.playing.rows import NoRowsError  # noqa: PLC0415
    from server.redteam import campaign, command, report  # noqa: PLC0415

    settings = _settings(config, ("log_level=error", *assignments), environment=environment)
    drop_secrets()
    logs.configure(settings)
    try:
        findings = command.run(settings, rows, most, numbers, cpu_seconds)
    except (StartupError, NoRowsError, command.NoSuchAttackError, campaign.UnusableRowError) as error:
        click.echo(f"creche: {error}", err=True)
        sys.exit(2)
    if output is not None:
        output.write_text(report.markdown(findings), encoding="utf-8")
    if is_json:
        click.echo(json.dumps(report.as_json(findings), indent=1))
    else:
        report.show(findings, Console())
    sys.exit(1 if findings.holes or findings.problems else 0)


@main.command("verify-receipt")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--public-key", type=click.Path(path_type=Path), help="PEM file, for receipts that have one.")
@click.option("--config", type=click.Path(), metavar="FILE", help="The server's settings, with its secret.")
@click.option("--json", "is_json", is_flag=True, help="Print the findings as JSON.")
def verify_receipt(
    file: Path,
    public_key: Path | None,
    config: str | None,
    is_json: bool,  # noqa: FBT001  # click passes flags so
) -> None:
    """Check the receipts in FILE: a verify reply, stored rollouts (JSONL), or a bare receipt.

    The key is the server's: the secret and receipt_key of its settings (CRECHE_SECRET, CRECHE_RECEIPT_KEY
    or --config), or --public-key. Exit status 0 when every part agrees, 1 when one does not, 2 when there is
    nothing to check.
    """
    from rich.console import Console  # noqa: PLC0415  # only this command

    from server.receipts import command, keys  # noqa: PLC0415

    settings = _settings(config, ())
    try:
        checkers: list[keys.Checker] = [keys.HmacKey(settings.secret)]
        if settings.receipt_key is not None:
            checkers.append(keys.PrivateKey(Path(settings.receipt_key)))
        if public_key is not None:
            checkers.append(keys.public_key(public_key))
        results = command.checked(file, checkers)
    except (command.UnreadableError, keys.KeyFileError) as error:
        click.echo(f"creche: {error}", err=True)
        sys.exit(2)
    if is_json:
        click.echo(json.dumps(command.as_json(results), indent=1))
    else:
        command.show(results, Console(soft_wrap=True))
    sys.exit(0 if all(result.is_well for result in results) else 1)


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(f"creche {VERSION}")


def _settings(config: str | None, assignments: tuple[str, ...], **overrides: str | None) -> Settings:
    try:
        return load(config, assignments=assignments, overrides=overrides)
    except SettingsError as error:
        _refuse(str(error))


def _announce(line: str) -> None:
    # Whoever started us may read this from a pipe and wait for it.
    click.echo(line)


def _refuse(sentence: str) -> NoReturn:
    click.echo(f"creche: {sentence}", err=True)
    sys.exit(1)
