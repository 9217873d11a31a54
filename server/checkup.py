"""`creche doctor`: the sandbox's findings about this machine, as a table."""

from __future__ import annotations

import trio
from rich.console import Console
from rich.table import Table

from sandbox.doctor import Finding, examine, tier_of

_MARKS = {"yes": "[green]yes[/]", "weaker": "[yellow]weaker[/]", "no": "[red]no[/]"}


def run() -> int:
    """Print the table, then for each thing that is missing how to get it; return the command's exit status."""
    findings = trio.run(examine)
    console = Console(highlight=False)
    console.print(_table(findings))
    for finding in findings:
        if finding.remedy:
            console.print(f"{finding.facility}: {finding.remedy}", markup=False)
    tier = tier_of(findings)
    verdict = "sessions start with the tier full" if tier == "full" else "no session can be started"
    console.print(f"creche doctor: {tier}: {verdict}", markup=False, soft_wrap=True)
    return 0 if tier == "full" else 1


def _table(findings: list[Finding]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("facility", "there", "found", "what it gives"):
        table.add_column(title)
    for finding in findings:
        table.add_row(finding.facility, _MARKS[finding.status], finding.found, finding.gives)
    return table
