"""`creche doctor`: the findings of `sandbox.doctor` as a table for a person."""

from __future__ import annotations

import trio
from rich.console import Console
from rich.table import Table

from sandbox.doctor import Finding, examine, tier_of

_COLOURS = {"yes": "green", "weaker": "yellow", "no": "red"}


def _table(findings: list[Finding]) -> Table:
    table = Table(title="What this machine gives a sandbox", title_justify="left")
    for heading in ("facility", "there", "found", "gives", "how to get it"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        status = f"[{_COLOURS[finding.status]}]{finding.status}[/]"
        table.add_row(finding.facility, status, finding.found, finding.gives, finding.remedy)
    return table


def main() -> int:
    """Examine this machine, print the table and the tier; return 0 when the tier is `full`, otherwise 1."""
    findings = trio.run(examine)
    console = Console()
    console.print(_table(findings))
    tier = tier_of(findings)
    console.print(f"tier: {tier}", style="bold")
    return 0 if tier == "full" else 1
