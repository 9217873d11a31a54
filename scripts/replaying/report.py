"""What a replay says at its end."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scripts.replaying.player import Replayed

_TITLE = 24


def show(played: Sequence[Replayed], console: Console) -> None:
    """Print a line for each rollout, and how many agree.

    Replies may differ where rewards do not: a traceback is worded otherwise in another Python.
    """
    table = Table()
    for heading in ("line", "recorded", "now", "calls", "differing"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("task", no_wrap=True)
    table.add_column("", overflow="fold")
    for each in sorted(played, key=lambda each: each.recording.number):
        table.add_row(
            str(each.recording.number),
            _reward(each.recording.reward),
            _reward(each.reward),
            str(each.calls),
            str(each.differing or ""),
            Text(" ".join(each.recording.task.split())[:_TITLE]),
            Text(_note(each), style="" if each.agrees else "red"),
        )
    console.print(table)
    comparable = [each for each in played if each.is_comparable]
    agreeing = sum(each.agrees for each in comparable)
    console.print(f"{agreeing} of {len(comparable)} rollouts agree with what was recorded", highlight=False)


def is_success(played: Sequence[Replayed]) -> bool:
    """Whether there was something to compare, and all of it agrees."""
    return any(each.is_comparable for each in played) and all(each.agrees for each in played)


def _reward(reward: float | None) -> str:
    return "" if reward is None else f"{reward:g}"


def _note(each: Replayed) -> str:
    if each.recording.row is not None and each.recording.reward is None:
        return "was recorded as a failure"
    return each.trouble or each.recording.note or ("" if each.agrees else "differs")
