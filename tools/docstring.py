"""What a tool's docstring says to the model: a description, and a line for each argument.

Google style: the text before the first section (``Args:``, ``Returns:`` ..) describes the tool, and the
entries of ``Args:`` describe its parameters. The other sections are for readers of the code.
"""

from __future__ import annotations

import inspect
import re

_SECTION = re.compile(r"^(Args|Arguments|Returns|Yields|Raises|Warns|Example|Examples|Note|Notes):\s*$")
_ENTRY = re.compile(r"^(\w+)(?:\s*\([^)]*\))?:\s*(.*)$")


def cleaned(docstring: str | None) -> str:
    """Return `docstring` without its indentation and outer blank lines; empty for None."""
    return inspect.cleandoc(docstring) if docstring else ""


def description_of(docstring: str | None) -> str:
    """Return the text before the first section."""
    lines: list[str] = []
    for line in cleaned(docstring).splitlines():
        if _SECTION.match(line):
            break
        lines.append(line)
    return "\n".join(lines).strip()


def parameters_of(docstring: str | None) -> dict[str, str]:
    """Return what the section ``Args:`` says of each parameter, continuation lines joined by a blank."""
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    inside = False
    entry_indent = 0
    for line in cleaned(docstring).splitlines():
        section = _SECTION.match(line)
        if section:
            inside = section.group(1) in ("Args", "Arguments")
            entry_indent = 0
            continue
        text = line.strip()
        if not inside or not text:
            continue
        indent = len(line) - len(line.lstrip())
        entry_indent = entry_indent or indent
        entry = _ENTRY.match(text) if indent == entry_indent else None
        if entry:
            current = found.setdefault(entry.group(1), [])
            text = entry.group(2)
        if current is not None and text:
            current.append(text)
    return {name: " ".join(lines) for name, lines in found.items() if lines}
