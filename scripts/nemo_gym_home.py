"""Where NeMo Gym lives for tests and benchmarks: a virtual environment of its own, beside the project's.

It is made once for each checkout (or where ``NEMO_GYM_VENV`` says), from PyPI, with a Python 3.13: the one
that ``NEMO_GYM_PYTHON`` names, or ``python3.13``. That takes some two minutes.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from functools import cache
from pathlib import Path

import attrs

from scripts import interpreters

VERSION = "0.7.0"
ROOT = Path(__file__).resolve().parents[1]
_PLACE = Path(os.environ.get("NEMO_GYM_VENV") or ROOT / ".venv-gym")
_MAKING_SECONDS = 900


class CannotBeMadeError(Exception):
    """There is no environment for NeMo Gym. The message says why."""


@attrs.frozen
class Home:
    """The virtual environment.

    Attributes:
        prefix: its folder.
    """

    prefix: Path

    @property
    def python(self) -> str:
        """The interpreter."""
        return str(self.prefix / "bin" / "python")

    @property
    def packages(self) -> Path:
        """What is installed, NeMo Gym's own servers and agents among it."""
        (found,) = self.prefix.glob("lib/python3*/site-packages")
        return found


@cache
def home() -> Home:
    """Return the environment, made if there is none yet.

    Raises:
        CannotBeMadeError: see there.
    """
    stamp = _PLACE / "holds"
    lock = os.open(ROOT / ".gitignore", os.O_RDONLY | os.O_CLOEXEC)  # a file that is there anyway
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.is_file() or stamp.read_text() != VERSION:
            _make(_interpreter())
            stamp.write_text(VERSION)
    finally:
        os.close(lock)
    found = Home(_PLACE)
    if not os.access(found.python, os.X_OK):  # it may lie where only its owner can enter
        msg = f"this user cannot run {found.python}"
        raise CannotBeMadeError(msg)
    return found


def _make(python: str) -> None:
    # 0.7.0 asks for 3.13.14 and runs on any 3.13.
    install = [
        str(_PLACE / "bin" / "pip"),
        "install",
        "--quiet",
        "--ignore-requires-python",
        f"nemo-gym=={VERSION}",
    ]
    for command in ([python, "-m", "venv", "--clear", str(_PLACE)], install):
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=_MAKING_SECONDS)
        except (OSError, subprocess.SubprocessError) as error:
            words = getattr(error, "stderr", None) or str(error)
            msg = f"{' '.join(command[-2:])} failed: {words.strip().splitlines()[-1]}"
            raise CannotBeMadeError(msg) from None


def _interpreter() -> str:
    found = interpreters.find("3.13", os.environ.get("NEMO_GYM_PYTHON"))
    if found is None:
        msg = "there is no Python 3.13 here for NeMo Gym; install one, or name it in NEMO_GYM_PYTHON"
        raise CannotBeMadeError(msg)
    return found
