"""The command: ``python -P -m scripts.benchmark [--quick] [--only NAME]... [--json FILE]``."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import click
import trio
from rich.console import Console

from sandbox.errors import WouldNotStart
from scripts.benchmark.report import as_json, show
from scripts.benchmark.rounds import GROUPS, Findings, Plan, measure
from scripts.child_server import ServerFailedError

_DESCRIPTORS_PER_SESSION = 16


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="Fewer rounds, 200 idle sessions instead of 1,000.")
@click.option(
    "--only", type=click.Choice(GROUPS), multiple=True, help="Measure this only; may be given several times."
)
@click.option(
    "--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write all samples there too."
)
def main(quick: bool, only: tuple[str, ...], file: Path | None) -> None:  # noqa: FBT001  # click passes flags so
    """Measure what a session costs, beside the same by other means, with the targets next to the figures.

    Exit status 0 when everything could be measured, whether or not the targets were met.
    """
    plan = Plan(
        groups=only or GROUPS,
        rounds=10 if quick else 40,
        sessions=80 if quick else 240,
        alive=(200,) if quick else (200, 1000),
    )
    _allow_descriptors(plan.alive[-1] * _DESCRIPTORS_PER_SESSION)
    console = Console()
    try:
        findings = _measure(plan, console)
    except (WouldNotStart, ServerFailedError) as error:
        click.echo(f"bench: {error}", err=True)
        sys.exit(1)
    show(findings, console)
    if file is not None:
        file.write_text(json.dumps(as_json(findings), indent=1) + "\n", encoding="utf-8")


def _measure(plan: Plan, console: Console) -> Findings:
    with console.status("") as status:
        return trio.run(measure, plan, status.update)


def _allow_descriptors(number: int) -> None:
    """Raise the soft limit as far as needed and allowed: a thousand live sessions hold some ten thousand."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number if hard == resource.RLIM_INFINITY else min(number, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    main()
