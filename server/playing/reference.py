"""Finds in a row the script that does its task."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from server.playing.script import Call, Script, fenced
from tools.shapes import is_dict, is_list

SOLUTION_KEYS = ("canonical_solution", "reference_solution", "gold_solution", "solution")
ANSWER_KEYS = ("expected_answer", "expected_result", "answer", "gold_answer")
_DEEPEST = 4
"""How deep members are looked for: rows are not nested more deeply."""


def reference_script(row: Mapping[str, Any], tools: Collection[str]) -> Script | None:
    """Return the script that does the task of `row`, or None where the row has no reference.

    That is the row's own ``oracle`` (``{"calls": [[tool, arguments], …], "text": …}``), else a solution, the
    files that are expected, or the answer, under the names that data sets have for them.

    Args:
        row: the row.
        tools: names of the tools that there are.
    """
    oracle = row.get("oracle")
    if is_dict(oracle):
        calls = oracle.get("calls")
        pairs: list[Any] = calls if is_list(calls) else []
        made = tuple(Call(str(tool), arguments) for tool, arguments in pairs)
        return Script(calls=made, text=str(oracle.get("text", "")))
    fields = dict(fields_in(row))
    for key in SOLUTION_KEYS:
        if isinstance(fields.get(key), str):
            return Script(text=fenced(fields[key]))
    files = fields.get("expected_files")
    if is_dict(files) and "write_file" in tools:
        return Script(calls=tuple(_leaving(files, tools)))
    for answer in answers_in(fields):
        return Script(text=f"The answer is \\boxed{{{answer}}}.")
    return None


def answers_in(fields: Mapping[str, Any]) -> list[str]:
    """Return the short texts that are, or may be, the right answer."""
    return [str(fields[key]) for key in ANSWER_KEYS if isinstance(fields.get(key), str | int | float)]


def fields_in(value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Go through the members of nested objects, the outer ones last, so that they win."""
    if is_dict(value) and depth < _DEEPEST:
        for key, item in value.items():
            if key != "responses_create_params":
                yield from fields_in(item, depth + 1)
        yield from value.items()


def _leaving(files: Mapping[str, Any], tools: Collection[str]) -> Iterator[Call]:
    """Make the calls that leave these files; one without a text shall be gone."""
    for path, text in files.items():
        if isinstance(text, str):
            yield Call("write_file", {"path": path, "content": text})
    gone = [path for path, text in files.items() if text is None]
    if gone and "bash" in tools:
        yield Call("bash", {"command": "rm -rf " + " ".join(gone)})
