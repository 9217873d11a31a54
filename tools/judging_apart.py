"""The command ``as_candidate`` of hidden test scripts: runs a program that must not see the tests beside it.

A script runs what the session left, as the same user and in the same sandbox, so such a program could read
the expected output instead of working it out. Behind this command it cannot: Landlock leaves it the captured
tree, a temporary folder of its own and the system, and keeps it out of the memory, the descriptors and, on
kernels that can, the signals of everything that it has not started itself.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from sandbox.linux import landlock

NAME = "as_candidate"
_SYSTEM = ("bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "opt", "proc", "run", "sbin", "usr", "var")
_FIRST_FREE_DESCRIPTOR = 3
_DESCRIPTORS = 4096
_CANNOT_RUN = 126
_NOT_FOUND = 127

_COMMAND = """#!{python} -ISB
import sys
sys.path.insert(0, {library!r})
from tools.judging_apart import main
main({folder!r}, sys.argv[1:])
"""


def why_not() -> str:
    """Return why the command cannot be had here, or nothing."""
    return "" if landlock.abi() else f"{NAME} needs Landlock, which this kernel does not have or not enable"


def write_command(folder: str, own: str) -> None:
    """Write the command into `folder`; what it starts may write to `own`, a folder, beside its own files."""
    library = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    path = os.path.join(folder, NAME)
    with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o700)) as file:
        file.write(_COMMAND.format(python=sys.executable, library=library, folder=own))


def main(own: str, command: list[str]) -> NoReturn:
    """Become `command`, confined. Does not return; as of a shell, 127 says that there is no such command."""
    if not command:
        sys.exit(f"usage: {NAME} COMMAND [ARGUMENT...]")
    os.makedirs(own, exist_ok=True)
    here = os.path.dirname(os.path.abspath(sys.argv[0]))
    _confine(own)
    os.closerange(_FIRST_FREE_DESCRIPTOR, _DESCRIPTORS)
    environment = {name: value for name, value in os.environ.items() if name != "TESTS"}
    path = [folder for folder in os.get_exec_path() if folder != here]
    environment.update(PATH=os.pathsep.join(path), HOME=own, TMPDIR=own)
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606  # a command of the script's
    except OSError as error:
        sys.stderr.write(f"{NAME}: {command[0]}: {error.strerror}\n")
        sys.exit(_NOT_FOUND if isinstance(error, FileNotFoundError) else _CANNOT_RUN)


def _confine(own: str) -> None:
    version = landlock.abi()
    rights = landlock.every_right(version)
    paths = [*(f"/{name}" for name in _SYSTEM), sys.prefix, sys.base_prefix, os.environ["WORKSPACE"], own]
    landlock.restrict(version, [(path, rights) for path in paths if os.path.exists(path)], tcp=True)
