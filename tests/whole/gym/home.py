"""NeMo Gym's own environment, for the tests: made while they are collected, where no test's time limit runs.

Where it cannot be made the tests are skipped and say why.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.nemo_gym_home import ROOT, CannotBeMadeError, Home, home


def script(name: str) -> str:
    """Return the path of one of our scripts that run in that environment."""
    return str(Path(__file__).parent / name)


def _why_not() -> str | None:
    try:
        home()
    except (CannotBeMadeError, OSError) as error:
        return f"NeMo Gym cannot be had: {error}"
    return None


_REASON = _why_not()
needs_nemo_gym = pytest.mark.skipif(_REASON is not None, reason=_REASON or "")

__all__ = ["ROOT", "Home", "home", "needs_nemo_gym", "script"]
