"""Finding the versions of Python that are here, among those that Creche runs on.

``python -I scripts/interpreters.py newest`` prints the newest, ``… other`` the one that differs most from the
one that runs this; nothing where there is none. Any Python 3 can run this file.
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
        # Debian's needs another package before it can make environments.
        check = [candidate, "-c", f"import sys, ensurepip; sys.exit(sys.version_info[:2] != {wanted})"]
        if subprocess.run(check, check=False, capture_output=True, timeout=60).returncode == 0:
            return candidate
    return None


def _managed(version: str) -> list[str]:
    """Return the interpreters of pyenv, whose ``python3.13`` works only where it was chosen."""
    root = os.environ.get("PYENV_ROOT")
    return sorted(map(str, Path(root).glob(f"versions/{version}.*/bin/python"))) if root else []


def main(which: str) -> None:
    """Print the newest, or of the others the one that differs most."""
    own = "{}.{}".format(*sys.version_info)
    wanted = SUPPORTED
    if which == "other":
        wanted = tuple(each for each in (SUPPORTED[0], *reversed(SUPPORTED[1:])) if each != own)
    print(next(filter(None, map(find, wanted)), ""))


if __name__ == "__main__":
    main(*sys.argv[1:])
