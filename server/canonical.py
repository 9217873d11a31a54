"""One spelling for each JSON value, and its digest.

Keys are sorted by code point, nothing is between tokens, everything outside ASCII is escaped, numbers are
written as Python writes them. Members that are null are left out, in objects at any depth: those who relay a
rollout add and drop them (NeMo Gym's agents do), and a null says what an absence says.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

_CONTAINERS = (dict, list)


def canonical(value: Any) -> bytes:
    """Return the one spelling of a JSON value.

    Raises:
        TypeError: it is not JSON.
        RecursionError: it is nested too deeply, by some hundreds of levels.
    """
    return json.dumps(_without_nulls(value), sort_keys=True, separators=(",", ":")).encode("ascii")


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value's one spelling, in hexadecimal. Raises as `canonical` does."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _without_nulls(value: Any) -> Any:
    # The inner test spares a call for each number of a long list of token ids.
    if isinstance(value, dict):
        items = value.items()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return {
            key: _without_nulls(item) if isinstance(item, _CONTAINERS) else item
            for key, item in items  # pyright: ignore[reportUnknownVariableType]
            if item is not None
        }
    if isinstance(value, list):
        return [_without_nulls(item) if isinstance(item, _CONTAINERS) else item for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value
