"""Searches a text for a pattern, where it may take as long as it likes."""

from __future__ import annotations

import re
from typing import Any


def last_match(state: dict[str, Any], pattern: str, text: str, *, ignore_case: bool) -> dict[str, Any]:
    """Return ``{"found": text or None}`` for the last match, or ``{"error"}`` if `pattern` is no pattern.

    Args:
        state: not used.
        pattern: a regular expression.
        text: what is searched.
        ignore_case: whether capitals do not count.
    """
    del state
    try:
        compiled = re.compile(pattern, re.MULTILINE | re.DOTALL | (re.IGNORECASE if ignore_case else 0))
    except (re.error, RecursionError, OverflowError) as error:
        return {"error": str(error)}
    last = None
    for match in compiled.finditer(text):
        last = match
    if last is None:
        return {"found": None}
    groups = [group.strip() for group in last.groups() if group]
    return {"found": next((group for group in groups if group), last[0].strip())}
