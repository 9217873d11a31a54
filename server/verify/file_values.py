"""Files of a final state by what they mean: tidied text, JSON and CSV by value, and what has changed.

`files` compares bytes. All of this reads hostile files, so what is larger than `MAX_BYTES`, not UTF-8, or not
well-formed simply does not match.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NoReturn

from sandbox.final_state import FinalState
from server.verify.files import relative
from server.verify.values import same_number, same_value

MAX_BYTES = 4 * 1024 * 1024
_WHOLE = re.compile(r"[+-]?\d+")


def text_matches(state: FinalState, path: str, expected: str) -> bool:
    """Whether a file has the expected text, but for blank space at the ends of lines and of the text."""
    found = _text(state, path)
    return found is not None and _tidy(found) == _tidy(expected)


def json_matches(state: FinalState, path: str, expected: Any, tolerance: float = 0.0) -> bool:
    """Whether a file is JSON of the expected value; see `same_value`."""
    found = _text(state, path)
    if found is None:
        return False
    try:
        value = json.loads(found, parse_constant=_refuse, object_pairs_hook=_unambiguous)
    except (ValueError, RecursionError):
        return False
    try:
        return same_value(expected, value, tolerance)
    except RecursionError:
        return False


def csv_matches(
    state: FinalState,
    path: str,
    expected: Sequence[Sequence[str]],
    *,
    ordered: bool = True,
    tolerance: float = 0.0,
) -> bool:
    """Whether a file is CSV with the expected rows, the header among them.

    Cells are equal as text without surrounding blanks, or as numbers.

    Args:
        state: what the session left.
        path: of the file.
        expected: the rows; the first one is the header and always comes first.
        ordered: whether the order of the rows below it counts.
        tolerance: for cells that are numbers; needs `ordered`.
    """
    found = _text(state, path)
    if found is None:
        return False
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(found), strict=True) if row]
    except csv.Error:
        return False
    wanted = [[cell.strip() for cell in row] for row in expected]
    if len(rows) != len(wanted) or not wanted:
        return False
    if not ordered:
        rows[1:], wanted[1:] = sorted(map(_spelled, rows[1:])), sorted(map(_spelled, wanted[1:]))
    return all(_same_row(*pair, tolerance) for pair in zip(wanted, rows, strict=True))


def is_there(state: FinalState, path: str) -> bool:
    """Whether there is a regular file of that name, whatever is in it."""
    return relative(path) in state.files


def changed_only(state: FinalState, before: Mapping[str, str | bytes], allowed: Sequence[str]) -> bool:
    """Whether nothing is new, different or gone but what matches one of the allowed patterns.

    Args:
        state: what the session left. What could not be captured (a link, a device) counts as new.
        before: path, relative to /workspace or absolute, to content: all that was there when the session was
            seeded.
        allowed: patterns of such paths as the shell has them; ``*`` goes across folders.
    """
    originals = {relative(path): _bytes(content) for path, content in before.items()}
    patterns = [relative(pattern) for pattern in allowed]
    touched = {rejected.path for rejected in state.rejected}
    touched |= {path for path in originals if path not in state.files}
    touched |= {path for path, captured in state.files.items() if originals.get(path) != captured.data}
    return all(any(fnmatchcase(path, pattern) for pattern in patterns) for path in touched)


def _text(state: FinalState, path: str) -> str | None:
    captured = state.files.get(relative(path))
    if captured is None or len(captured.data) > MAX_BYTES:
        return None
    try:
        return captured.data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def _bytes(content: str | bytes) -> bytes:
    return content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content


def _tidy(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    return "\n".join(lines).strip("\n").split("\n")


def _refuse(constant: str) -> NoReturn:
    msg = f"{constant} is not JSON"
    raise ValueError(msg)


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        msg = "a key stands twice in one object"
        raise ValueError(msg)
    return value


def _spelled(row: list[str]) -> list[str]:
    """Return the row with its numbers in one spelling, so that equal rows are equal as text."""
    numbers = [_number(cell) for cell in row]
    return [cell if number is None else str(number) for cell, number in zip(row, numbers, strict=True)]


def _same_row(wanted: Sequence[str], found: Sequence[str], tolerance: float) -> bool:
    return len(wanted) == len(found) and all(
        _same_cell(*pair, tolerance) for pair in zip(wanted, found, strict=True)
    )


def _same_cell(wanted: str, found: str, tolerance: float) -> bool:
    if wanted == found:
        return True
    expected, number = _number(wanted), _number(found)
    if expected is None or number is None:
        return False
    return expected == number or (
        tolerance > 0 and same_number(float(wanted), float(found), tolerance)  # whole numbers too
    )


def _number(cell: str) -> float | None:
    """Return the number that a cell is; a whole one as it is written, however long, and no rounded one."""
    try:
        number = float(cell)
        if _WHOLE.fullmatch(cell):
            return int(cell)
    except ValueError:
        return None
    return int(number) if number.is_integer() else number
