"""Which Python the scripts take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.interpreters import SUPPORTED

FILE = Path(__file__).parents[1] / "scripts" / "interpreters.py"
OWN = "{}.{}".format(*sys.version_info)


def found(which: str) -> str | None:
    """Return the version of the interpreter that is named, None if none is."""
    path = subprocess.check_output([sys.executable, "-I", FILE, which], text=True, timeout=120).strip()
    if not path:
        return None
    version = "import sys; print('{}.{}'.format(*sys.version_info))"
    return subprocess.check_output([path, "-c", version], text=True, timeout=60).strip()


def test_the_newest_is_no_older_than_the_one_that_is_here() -> None:
    newest = found("newest")
    if newest is None:
        pytest.skip("no Python that is on the PATH by its version, or pyenv's, can make environments")
    assert SUPPORTED.index(newest) <= SUPPORTED.index(OWN)


def test_the_other_is_another_and_supported() -> None:
    other = found("other")
    if other is None:
        pytest.skip("there is no other version of Python here")
    assert other in set(SUPPORTED) - {OWN}
