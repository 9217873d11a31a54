"""NeMo Gym's environment with this project beside it, as users of our sandbox provider have it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess

import pytest

from tests.whole.gym.home import ROOT, Home

_INSTALLING_SECONDS = 150


def install_creche(gym: Home) -> None:
    """Install this checkout, editable, with what its client needs; skip where that cannot be done."""
    stamp = gym.prefix / "holds-creche"
    state = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    lock = os.open(ROOT / ".gitignore", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.is_file() and stamp.read_text() == state:
            return
        command = [gym.python, "-m", "pip", "install", "--quiet", "--editable", f"{ROOT}[client]"]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALLING_SECONDS)
        stamp.write_text(state)
    except (OSError, subprocess.SubprocessError) as error:
        words = getattr(error, "stderr", None) or str(error)
        pytest.skip(f"this project cannot be installed beside NeMo Gym: {words.strip().splitlines()[-1]}")
    finally:
        os.close(lock)
