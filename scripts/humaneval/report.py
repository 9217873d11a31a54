"""What the main job says at its end."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from rich.console import Console
from rich.table import Table

from scripts.humaneval.agent import Played, Times
from scripts.quantiles import milliseconds, quantile

_SHOWN = 5


@attrs.frozen
class Result:
    """All that was found out.

    Attributes:
        canonical: rollouts with the correct solutions.
        control: rollouts with functions that return None.
        times: of all their requests.
        seconds: from the first request to the last reply.
        alive: sandboxes that the server still had after that.
        status: the server's exit status after SIGTERM.
    """

    canonical: Sequence[Played]
    control: Sequence[Played]
    times: Times
    seconds: float
    alive: int
    status: int | None

    def problems(self) -> list[str]:
        """Return what is not as it must be, one sentence each; empty when all is well."""
        found = []
        for played, wanted in ((self.canonical, 1.0), (self.control, 0.0)):
            wrong = [each for each in played if each.reward != wanted]
            found += [
                f"{each.problem}: {each.trouble or f'reward {each.reward} instead of {wanted}'}"
                for each in wrong[:_SHOWN]
            ]
            if len(wrong) > _SHOWN:
                found.append(f"and {len(wrong) - _SHOWN} more of the kind")
        if self.alive:
            found.append(f"{self.alive} sandboxes were left alive")
        if self.status != 0:
            found.append(f"the server exited with status {self.status}")
        return found

    def show(self, console: Console) -> None:
        """Print the table, and below it whatever is wrong."""
        table = Table(show_header=False)
        table.add_row("canonical", _passed(self.canonical))
        table.add_row("control", _passed(self.control))
        for name, seconds in (
            ("seed", self.times.seed),
            ("call", self.times.call),
            ("verify", self.times.verify),
        ):
            values = " / ".join(milliseconds(quantile(seconds, share)) for share in (0.5, 0.99))
            table.add_row(f"{name} p50 / p99", values)
        table.add_row(
            "rollouts per second", f"{(len(self.canonical) + len(self.control)) / self.seconds:.1f}"
        )
        table.add_row("sandboxes alive now", str(self.alive))
        console.print(table)
        for problem in self.problems():
            console.print(problem, style="red", markup=False, highlight=False)


def _passed(played: Sequence[Played]) -> str:
    return f"{sum(each.reward == 1.0 for each in played)}/{len(played)}"
