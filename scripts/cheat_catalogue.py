"""A pytest plugin that tells the cheats on verifiers as a table: `scripts/cheats` runs it.

A test of tests/cheats that has an ``attack`` among its parameters goes into the line of that attack.
"""

from __future__ import annotations

import re

import pytest

from scripts.catalogue import Catalogue, Line
from server.redteam.catalogue import ATTACKS

_NUMBER = re.compile(r"\[(\d+)-")


class Cheats(Catalogue):
    """The table of attacks, verifiers, rewards, and what stopped them."""

    length = len(ATTACKS)
    title = "Cheats on the shipped verifiers, over HTTP"
    columns = ("#", "attack", "verifiers", "rollouts", "reward", "what stopped it")

    def key(self, nodeid: str) -> str:
        """Return the attack's number, or the function where there is none."""
        found = _NUMBER.search(nodeid)
        return found[1] if found is not None else super().key(nodeid)

    def line(self, item: pytest.Function) -> Line:
        """Return the attack's line."""
        found = _NUMBER.search(item.nodeid)
        return super().line(item) if found is None else Line(int(found[1]), ATTACKS[int(found[1])].name, "")

    def cells(self, line: Line) -> tuple[str, ...]:
        """Return a line's cells; in place of what stopped it, what went wrong if something did."""
        stopped = line.of("stopped by")
        limit = ATTACKS[line.row].limit if line.row is not None else ""
        is_well = line.verdict == "passed"
        ending = "; ".join(stopped) + (f"\n[dim]In principle: {limit}[/]" if limit else "")
        return (
            str(line.row),
            line.expected,
            ", ".join(line.of("verifier")),
            str(sum(int(number) for name, number in line.noted if name == "rollouts")),
            ", ".join(line.of("reward")),
            ending if is_well else line.coloured,
        )


def pytest_configure(config: pytest.Config) -> None:
    """Take part in the run."""
    config.pluginmanager.register(Cheats(), "cheats")
