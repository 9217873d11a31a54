"""A campaign's findings, told: for a terminal, as Markdown for a review, as JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from server.redteam.findings import Result, Word
from server.version import VERSION

if TYPE_CHECKING:
    from rich.console import Console

    from server.redteam.attempt import Attempt
    from server.redteam.campaign import Findings

_COLOURS = {Word.HELD: "green", Word.NOT_APPLICABLE: "dim"}
_LONGEST = 1200


def summary(findings: Findings) -> str:
    """Return the counts in a sentence."""
    words = Counter(result.word for result in findings.results)
    attempts = sum(len(result.tried) for result in findings.results)
    tried = len(findings.results) - words[Word.NOT_APPLICABLE]
    holes = len(findings.holes)
    verdict = f"{holes} of them worked" if holes else "none of them worked"
    counts = f"{_many(tried, 'attack')} in {_many(attempts, 'rollout')} on {_many(len(findings.rows), 'row')}"
    return f"{counts}: {verdict}; {words[Word.NOT_APPLICABLE]} did not apply."


def _many(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")


def show(findings: Findings, console: Console) -> None:
    """Print a table of all attacks, then what to do about those that worked."""
    table = Table(title=f"{findings.environment}, attacked", title_justify="left")
    for heading in ("#", "attack", "came to", "reward", "shown by"):
        table.add_column(heading, overflow="fold")
    for name, reward in _unattacked(findings):
        table.add_row("", name, "", reward, "")
    table.add_section()
    for result in findings.results:
        colour = _COLOURS.get(result.word, "bold red")
        shown = escape(_shown_by(result)) if result.word.is_hole else ""
        table.add_row(
            str(result.attack.number),
            result.attack.name,
            f"[{colour}]{result.word}[/]",
            _reward(result),
            shown,
        )
    console.print(table)
    for problem in findings.problems:
        console.print(f"[bold red]{escape(problem)}[/]")
    for result in findings.holes:
        console.print(f"\n[bold red]{result.attack.number} {escape(result.attack.name)}: {result.word}[/]")
        for heading, text in _explained(result):
            console.print(f"  [bold]{heading}[/] {escape(text)}", highlight=False, soft_wrap=True)
    console.print(f"\n{summary(findings)}", highlight=False)


def markdown(findings: Findings) -> str:
    """Return the report as a document of its own."""
    lines = [
        f"# Red team: {findings.environment}",
        "",
        f"Creche {VERSION}. {summary(findings)}",
        "",
        (
            "An attack has worked when its rollout was rewarded more than one that does nothing, was masked so that it would "
            "not be counted, or when the session gave away what it must not."
        ),
        "",
    ]
    lines += [f"**{problem}**\n" for problem in findings.problems]
    if findings.holes:
        lines += ["## What worked", ""]
    for result in findings.holes:
        lines += [f"### {result.attack.number}. {result.attack.name}: {result.word}", ""]
        lines += [f"* **{heading}** {text}" for heading, text in _explained(result)]
        worst = result.worst
        if worst is not None:
            lines += ["", *_rollout(worst.attempt), ""]
    lines += [
        "## All attacks",
        "",
        "| # | attack | came to | reward | what was tried |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| | {name} | | {reward} | |" for name, reward in _unattacked(findings)]
    for result in findings.results:
        cells = (
            str(result.attack.number),
            result.attack.name,
            str(result.word),
            _reward(result),
            result.attack.tries,
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    limits = [result.attack for result in findings.results if result.attack.limit and result.tried]
    if limits:
        lines += ["", "## What no verifier can stop in principle", ""]
        lines += [f"* **{attack.number}. {attack.name}.** {attack.limit}" for attack in limits]
    return "\n".join(lines) + "\n"


def as_json(findings: Findings) -> dict[str, Any]:
    """Return the findings as a JSON value."""
    return {
        "environment": findings.environment,
        "version": VERSION,
        "rows": [
            {
                "row": row.number,
                "nop": row.nop.reward,
                "oracle": None if row.oracle is None else row.oracle.reward,
                "problems": row.problems,
            }
            for row in findings.rows
        ],
        "attacks": [
            {
                "number": result.attack.number,
                "name": result.attack.name,
                "word": str(result.word),
                "reward": result.reward,
                "attempts": [
                    {
                        "row": tried.row,
                        "label": tried.attempt.label,
                        "word": str(tried.word),
                        "reward": tried.played.reward,
                        "why": tried.why,
                    }
                    for tried in result.tried
                ],
            }
            for result in findings.results
        ],
    }


def _unattacked(findings: Findings) -> Iterator[tuple[str, str]]:
    yield "nop: does nothing", ", ".join(f"{row.nop.reward:g}" for row in findings.rows)
    oracles = ["none" if row.oracle is None else f"{row.oracle.reward:g}" for row in findings.rows]
    yield "oracle: the reference solution", ", ".join(oracles)


def _reward(result: Result) -> str:
    return "" if result.reward is None else f"{result.reward:g}"


def _shown_by(result: Result) -> str:
    worst = result.worst
    return "" if worst is None else f"row {worst.row}, {worst.attempt.label}: {worst.why}"


def _explained(result: Result) -> Iterator[tuple[str, str]]:
    yield "Tried:", result.attack.tries
    yield "Seen:", _shown_by(result) + "."
    yield "Means:", result.word.meaning
    yield "Remedy:", result.attack.remedy
    if result.attack.limit:
        yield "Limit:", result.attack.limit


def _rollout(attempt: Attempt) -> Iterator[str]:
    """Return the rollout that showed it, as far as it is worth reading."""
    yield "The rollout:"
    yield ""
    for call in attempt.calls:
        yield from _block(f"{call.tool}({json.dumps(call.arguments, ensure_ascii=False)})")
    if attempt.text:
        yield from _block(attempt.text)


def _block(text: str) -> Iterator[str]:
    shown = text if len(text) <= _LONGEST else text[:_LONGEST] + "\n…"
    yield "~~~~text"
    yield shown
    yield "~~~~"
