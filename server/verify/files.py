"""The final state of a session against the files that a task expects."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from sandbox.final_state import FinalState

_HOME = "/workspace"


def files_match(state: FinalState, expected: Mapping[str, str | None]) -> bool:
    """Whether every expected file is there with just that text, and every one that is expected absent is not.

    Nothing expected is nothing earned: an empty `expected` matches no state. Files that it does not name do
    not count.

    Args:
        state: what the session left.
        expected: path, relative to /workspace or absolute below it, to text, or to None for absence. A
            path expected absent must not be a folder with something captured in it either.
    """
    return bool(expected) and all(_matches(state, relative(path), text) for path, text in expected.items())


def summary(state: FinalState) -> dict[str, Any]:
    """Return the final state as a verify reply shows it: digests, not contents."""
    return {
        "files": {
            path: {"sha256": captured.sha256, "bytes": len(captured.data)}
            for path, captured in state.files.items()
        },
        "rejected": [{"path": rejected.path, "reason": rejected.reason} for rejected in state.rejected],
        "digest": state.digest,
    }


def _matches(state: FinalState, path: str, text: str | None) -> bool:
    if text is None:
        return not any(
            there == path or there.startswith(path + "/")
            for there in (*state.files, *(rejected.path for rejected in state.rejected))
        )
    captured = state.files.get(path)
    return captured is not None and captured.data == text.encode("utf-8", "surrogatepass")


def relative(path: str) -> str:
    """Return `path`, relative to /workspace or absolute, as the final state spells it."""
    return posixpath.relpath(posixpath.join(_HOME, path), _HOME)
