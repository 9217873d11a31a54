"""`creche doctor`: the findings of `sandbox.doctor` as a table for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from rich.console import Console
from rich.table import Table

from sandbox.doctor import Finding, examine, tier_of, try_session

if TYPE_CHECKING:
    from server.settings import Settings

_COLOURS = {"yes": "green", "weaker": "yellow", "no": "red", "not tried": "dim"}


_LESSER = (
    "a session of the tier landlock can be had here as it is: --set tier=landlock; "
    'docs/security.md, "Tiers", says what it lacks'
)


def _table(findings: list[Finding]) -> Table:
    table = Table(title="What this machine gives a sandbox", title_justify="left")
    for heading in ("facility", "there", "found", "gives"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        status = f"[{_COLOURS[finding.status]}]{finding.status}[/]"
        table.add_row(finding.facility, status, finding.found, finding.gives)
    return table


def _print_remedies(console: Console, findings: list[Finding]) -> None:
    """Print cause and remedy of what is missing: in unbroken lines, so that it can be copied and pasted."""
    for finding in findings:
        if finding.cause:
            colour = _COLOURS[finding.status]
            console.print(
                f"[bold {colour}]{finding.facility}[/]:", finding.cause, soft_wrap=True, highlight=False
            )
            console.print("   →", finding.remedy, soft_wrap=True, highlight=False, markup=False)


def main(settings: Settings) -> int:
    """Examine this machine for a server with these settings and print what was found.

    Returns:
        0 when the tier can be had that the settings demand, otherwise 1.
    """
    findings = trio.run(examine, settings.python, settings.max_sessions, settings.tier)
    console = Console()
    console.print(_table(findings))
    _print_remedies(console, findings)
    tier = tier_of(findings, settings.tier)
    if settings.tier == "full" and tier is None:
        lesser = trio.run(try_session, settings.python, "landlock")
        if lesser.status == "yes":
            console.print(_LESSER, soft_wrap=True, highlight=False, markup=False)
    console.print(f"tier: {tier or f'{settings.tier} cannot be had here'}", style="bold")
    return 0 if findings[-1].status == "yes" and tier is not None else 1
