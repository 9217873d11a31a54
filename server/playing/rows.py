"""Where the rows come from that are played."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.playing.samples import SAMPLES
from tools.shapes import is_dict

if TYPE_CHECKING:
    from server.environment import Environment


class NoRowsError(Exception):
    """There are no rows to play. The message is one sentence with the remedy."""


def read_rows(path: Path, most: int) -> list[dict[str, Any]]:
    """Return the first `most` rows of a file of JSON lines.

    Raises:
        NoRowsError: it cannot be read, or has none.
    """
    rows: list[dict[str, Any]] = []
    try:
        for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
            if line.strip() and len(rows) < most:
                row = json.loads(line)
                if not is_dict(row):
                    msg = f"{path}, line {number}, is no JSON object"
                    raise NoRowsError(msg)
                rows.append(row)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise NoRowsError(msg) from error
    except ValueError as error:
        msg = f"{path} is no file of JSON lines: {error}"
        raise NoRowsError(msg) from error
    if not rows:
        msg = f"{path} has no rows"
        raise NoRowsError(msg)
    return rows


def rows_of(environment: Environment[Any]) -> Sequence[Mapping[str, Any]]:
    """Return the rows that come with an environment: its own `examples`, or the samples of a shipped one.

    Raises:
        NoRowsError: it has none.
    """
    rows = environment.examples or SAMPLES.get(environment.name, ())
    if not rows:
        msg = (
            f"{environment.name} brings no rows: give some with --rows FILE.jsonl, "
            "or name them in the class as `examples`"
        )
        raise NoRowsError(msg)
    return rows
