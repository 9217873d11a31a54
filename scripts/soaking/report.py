"""What a soak has found, as tables."""

from __future__ import annotations

import attrs
from rich.console import Console
from rich.table import Table

from scripts.soaking.census import RESIDENT_TOLERANCE, Census
from scripts.soaking.soak import Result

_MIB = 1 << 20


def show(result: Result, seed: int, console: Console) -> None:
    """Print what was played, what there is at the end beside what there was, and what was wrong."""
    console.print(_played(result))
    console.print(_censuses(result.baseline, result.after))
    sessions = sum(result.tally.played.values())
    rate = f"{sessions} sessions in {result.seconds:.0f} s, {sessions / result.seconds:.0f} a second"
    console.print(f"{rate}, seed {seed}", highlight=False)
    for problem in result.problems():
        console.print(problem, style="red", highlight=False, markup=False)
    if not result.problems():
        console.print("every session ended as it must; all is back at the baseline", style="green")


def show_figures(figures: str, problems: list[str], console: Console) -> bool:
    """Print a line of figures and what was wrong; return whether nothing was."""
    console.print(figures, highlight=False)
    for problem in problems:
        console.print(problem, style="red", highlight=False, markup=False)
    if not problems:
        console.print("all was as it must be", style="green")
    return not problems


def _played(result: Result) -> Table:
    table = Table("session", "times", title="What was played", title_justify="left")
    for name, times in result.tally.played.most_common():
        table.add_row(name, str(times))
    return table


def _censuses(baseline: Census, after: Census) -> Table:
    table = Table("what the server holds", "baseline", "in the end", "may be more by", title_justify="left")
    over = after.over(baseline)
    for name, then in attrs.asdict(baseline).items():
        now = getattr(after, name)
        tolerance = _amount(name, RESIDENT_TOLERANCE) if name == "resident" else "0"
        colour = "red" if name in over else "green"
        table.add_row(name, _amount(name, then), f"[{colour}]{_amount(name, now)}[/]", tolerance)
    return table


def _amount(name: str, value: int | None) -> str:
    if value is None:
        return "not measured"
    return f"{value / _MIB:.1f} MiB" if name in {"tmpfs", "resident"} else str(value)
