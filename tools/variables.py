"""Tells the values of variables of the session's interpreter, for the server to ask before it ends a session.

Runs in the lane of the `python` tool, next to whatever the model did there: what it says is a claim.
"""

from __future__ import annotations

from typing import Any

from tools import plain

MAX_CHARACTERS = 16 * 1024
"""Of one value's text. Enough for an answer, and too little to make reading it slow."""


def read_variables(state: dict[str, Any], names: list[str]) -> dict[str, str]:
    """Return the variables' values as texts of `tools.plain`.

    Args:
        state: the lane's, which holds the console.
        names: of global variables.

    Returns:
        Name to text. A name that is not there, is no plain data, or is too long, is left out.
    """
    console = state.get("python") or state.get("console")
    namespace: dict[str, Any] = {} if console is None else console.namespace
    told: dict[str, str] = {}
    for name in names:
        if name in namespace:
            try:
                text = plain.dumps(namespace[name])
            except plain.PlainError:
                continue
            if len(text) <= MAX_CHARACTERS:
                told[name] = text
    return told
