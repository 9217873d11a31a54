"""Finding other versions of Python than the one that runs.

``python -P -m scripts.interpreters`` prints the newest other one that Creche runs on, if there is one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SUPPORTED = ("3.13", "3.12", "3.11")
"""Newest first; as pyproject.toml has it."""


def find(version: str, named: str | None = None) -> str | None:
    """Return a working interpreter that can make virtual environments, None if there is none.

    Args:
        version: such as ``"3.13"``.
        named: the only one to consider.
    """
    candidates = [named] if named else [shutil.which(f"python{version}"), *_managed(version)]
    wanted = tuple(map(int, version.split(".")))
    for candidate in filter(None, candidates):
        check = [candidate, "-c", f"import sys, venv; sys.exit(sys.version_info[:2] != {wanted})"]
        if subprocess.run(check, check=False, capture_output=True, timeout=60).returncode == 0:
            return candidate
    return None


def _managed(version: str) -> list[str]:
    """Return the interpreters of pyenv, whose ``python3.13`` works only where it was chosen."""
    root = os.environ.get("PYENV_ROOT")
    return sorted(map(str, Path(root).glob(f"versions/{version}.*/bin/python"))) if root else []


def main() -> None:
    """Print the newest other one."""
    others = (each for each in SUPPORTED if tuple(map(int, each.split("."))) != sys.version_info[:2])
    print(next(filter(None, map(find, others)), ""))


if __name__ == "__main__":
    main()
