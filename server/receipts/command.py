"""``creche verify-receipt``: reads files, checks every receipt in them, and says what it found."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console

from server.receipts.checking import Finding, Word, check
from server.receipts.keys import Checker
from tools.shapes import is_dict


class UnreadableError(Exception):
    """A file holds nothing that could be checked. The message is one sentence."""


@attrs.frozen
class Checked:
    """One value of a file and what was found of it."""

    place: str
    findings: Sequence[Finding]

    @property
    def is_well(self) -> bool:
        """Whether every part agrees. What agents and relays added afterwards is named, and nothing worse."""
        return all(finding.word in (Word.AGREES, Word.ADDED, Word.RELAYED) for finding in self.findings)


def checked(path: Path, checkers: Sequence[Checker]) -> list[Checked]:
    """Check all receipts of a file: one JSON object, or one per line.

    Raises:
        UnreadableError: it cannot be read, or holds something else.
    """
    return [Checked(place, check(value, checkers)) for place, value in _values(path)]


def _values(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        msg = f"{path} cannot be read: {reason}"
        raise UnreadableError(msg) from error
    try:
        yield str(path), _object(text)
    except ValueError:
        pass
    else:
        return
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        msg = f"{path} is empty"
        raise UnreadableError(msg)
    for number, line in lines:
        try:
            value = _object(line)
        except ValueError as error:
            msg = f"{path}, line {number}, is no JSON object: {error}"
            raise UnreadableError(msg) from error
        yield f"{path}:{number}", value


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except RecursionError:
        msg = "nested too deeply"
        raise ValueError(msg) from None
    if not is_dict(value):
        msg = "not an object"
        raise ValueError(msg)  # to callers it is one more kind of wrong text
    return value


def show(results: Sequence[Checked], console: Console) -> None:
    """Print a line for each receipt, and below it the parts that do not agree."""
    for result in results:
        agreeing = sum(finding.word is Word.AGREES for finding in result.findings)
        verdict = "[green]agrees[/]" if result.is_well else "[red]does not agree[/]"
        console.print(
            f"{result.place}: {verdict} ({agreeing} of {len(result.findings)} parts)", highlight=False
        )
        for finding in result.findings:
            if finding.word is not Word.AGREES:
                detail = f": {finding.detail}" if finding.detail else ""
                console.print(f"  {finding.part}: {finding.word}{detail}", markup=False, highlight=False)
    counts = Counter(result.is_well for result in results)
    console.print(
        f"{counts[True]} of {len(results)} receipts agree with what is around them", highlight=False
    )


def as_json(results: Sequence[Checked]) -> list[dict[str, Any]]:
    """Return the same as JSON values."""
    return [
        {
            "place": result.place,
            "agrees": result.is_well,
            "findings": [
                {"part": finding.part, "word": str(finding.word), "detail": finding.detail}
                for finding in result.findings
            ],
        }
        for result in results
    ]
