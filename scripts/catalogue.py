"""A pytest plugin that tells the catalogue of attacks as a table: `scripts/attacks` runs it.

A test of row 31 is called ``test_row_31_…``; what follows is what must happen. It may note what it observed,
and in which tier, as the properties ``observed`` and ``tier``. A test that is expected to fail
is a known gap. Tests without a number go beyond the rows; they are only counted.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable

import attrs
import pytest
from rich.console import Console
from rich.table import Table

_ROW = re.compile(r"test_row_(\d+)_(\w+)")
_WIDTH = 150  # where the output is no terminal
_MOST_NOTES = 3
_COLOURS = {"failed": "red", "known gap": "magenta", "passed": "green", "skipped": "yellow"}
"""Outcome to colour, the weightiest first."""


@attrs.define
class Line:
    """One test function of a row.

    Attributes:
        row: its number in the catalogue, None for a test that goes beyond it.
        expected: what must happen, in words.
        group: the first sentence of its module's docstring.
        noted: what its tests recorded as properties, name and value.
    """

    row: int | None
    expected: str
    group: str
    outcomes: Counter[str] = attrs.field(factory=Counter[str])
    noted: list[tuple[str, str]] = attrs.field(factory=list[tuple[str, str]])
    skipped: dict[str, None] = attrs.field(factory=dict[str, None])
    gaps: dict[str, None] = attrs.field(factory=dict[str, None])
    failed: dict[str, None] = attrs.field(factory=dict[str, None])

    def of(self, name: str) -> list[str]:
        """Return what was noted under a name, each once."""
        return list(dict.fromkeys(value for noted, value in self.noted if noted == name))

    @property
    def coloured(self) -> str:
        """What was seen, in the colour of the verdict."""
        return f"[{_COLOURS[self.verdict]}]{_escaped(self.seen)}[/]"

    @property
    def verdict(self) -> str:
        """The weightiest outcome of any variant."""
        return next((word for word in _COLOURS if self.outcomes[word]), "skipped")

    @property
    def seen(self) -> str:
        """What to show of what was observed."""
        told = self.of("observed") or (["as expected"] if self.outcomes["passed"] else [])
        if len(told) > _MOST_NOTES:
            told[_MOST_NOTES - 1 :] = [f"and {len(told) - _MOST_NOTES + 1} more"]
        told = [f"FAILED: {why}" for why in self.failed] or told
        more = [f"KNOWN GAP: {why}" for why in self.gaps] + [f"skipped: {why}" for why in self.skipped]
        return "; ".join(told + more)


class Catalogue:
    """Collects what pytest reports, and prints the table at the end. Subclasses choose lines and columns."""

    length = 97  # a row without a test is said to be missing
    title = "Attacks on live sessions"
    columns: tuple[str, ...] = ("row", "what must happen", "observed", "tier")

    def __init__(self) -> None:
        """Start empty."""
        self._lines: dict[str, Line] = {}

    def key(self, nodeid: str) -> str:
        """Return what tells the line of a test from others: here its function."""
        return nodeid.partition("[")[0]

    def line(self, item: pytest.Function) -> Line:
        """Return the line that a test goes into."""
        name = item.originalname
        match = _ROW.match(name)
        words = (match[2] if match else name.removeprefix("test_")).replace("_", " ")
        group = (getattr(item.module, "__doc__", None) or item.nodeid).partition("\n")[0]
        return Line(int(match[1]) if match else None, words, group)

    def cells(self, line: Line) -> tuple[str, ...]:
        """Return a line's cells."""
        return str(line.row), line.expected, line.coloured, " | ".join(line.of("tier"))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Make a line for each test function."""
        for item in items:
            if isinstance(item, pytest.Function):
                self._lines.setdefault(self.key(item.nodeid), self.line(item))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what became of a test in one of its three phases."""
        line = self._lines[self.key(report.nodeid)]
        outcome: str = report.outcome
        if report.skipped and hasattr(report, "wasxfail"):
            outcome = "known gap"
            line.gaps[str(report.wasxfail)] = None
        elif report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            line.failed[str(getattr(crash, "message", report.longrepr)).partition("\n")[0]] = None
        elif report.skipped:
            why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            line.skipped[why.removeprefix("Skipped: ")] = None
        if report.when == "call" or not report.passed:
            line.outcomes[outcome] += 1
        if report.when == "teardown":
            # Of a thing noted several times in one test, only "observed" counts each time.
            last = {str(name): str(value) for name, value in report.user_properties}
            noted = [(str(name), str(value)) for name, value in report.user_properties if name == "observed"]
            line.noted += dict.fromkeys([*noted, *last.items()])

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table and the counts."""
        is_terminal = bool(terminalreporter.isatty)
        file = io.StringIO()
        console = Console(file=file, force_terminal=is_terminal, width=None if is_terminal else _WIDTH)
        lines = sorted(self._lines.values(), key=lambda line: line.row or 0)
        rows = [line for line in lines if line.row is not None and line.outcomes]
        console.print(self._table(rows))
        for what, counted in (("rows", _by_row(rows)), ("beyond the rows", _verdicts(lines, rows))):
            figures = ", ".join(f"{counted[word]} {word}" for word in _COLOURS if counted[word])
            console.print(f"{what}: {figures or 'none'}", highlight=False)
        if not terminalreporter.stats.get("deselected"):
            missing = sorted(set(range(1, self.length + 1)) - {line.row for line in rows})
            console.print(f"rows without a test: {', '.join(map(str, missing)) or 'none'}", highlight=False)
        terminalreporter.write_line("")
        terminalreporter.write(file.getvalue())

    def _table(self, lines: Iterable[Line]) -> Table:
        table = Table(*self.columns, title=self.title, title_justify="left")
        group = ""
        for line in lines:
            if line.group != group:
                group = line.group
                table.add_section()
                table.add_row("", f"[bold]{group}[/]")
            table.add_row(*self.cells(line))
        return table


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")


def _by_row(lines: Iterable[Line]) -> Counter[str]:
    """Count rows, each by the weightiest verdict of its functions."""
    verdicts: dict[int | None, set[str]] = {}
    for line in lines:
        verdicts.setdefault(line.row, set()).add(line.verdict)
    return Counter(next(word for word in _COLOURS if word in found) for found in verdicts.values())


def _verdicts(lines: Iterable[Line], without: list[Line]) -> Counter[str]:
    return sum((line.outcomes for line in lines if line not in without), Counter[str]())


def pytest_configure(config: pytest.Config) -> None:
    """Take part in the run."""
    config.pluginmanager.register(Catalogue(), "catalogue")
