"""Running Python by other means: cold, and in bubblewrap with every namespace."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from importlib import metadata

import attrs

from sandbox.cage_plan import find_interpreter

PLAIN, NUMPY = "x = 1\nprint(x)", "import numpy\nx = 1\nprint(x)"
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
_INSIDE = "/opt/python"


@attrs.frozen
class Command:
    """A command line and its whole environment."""

    arguments: Sequence[str]
    environment: dict[str, str]

    def run(self) -> None:
        """Run it to its end.

        Raises:
            subprocess.CalledProcessError: it failed; stderr is in the exception.
        """
        subprocess.run(
            self.arguments, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, check=True, cwd="/"
        )


def numpy_folder() -> str | None:
    """Return the folder that numpy is installed in; None when it is not installed."""
    try:
        return os.path.realpath(str(metadata.distribution("numpy").locate_file("")))
    except metadata.PackageNotFoundError:
        return None


def cold(code: str) -> Command:
    """Return ``python3 -c code``, with the interpreter that sessions use and no site-packages of its own."""
    return Command([find_interpreter(None).executable, "-S", "-c", code], _with_numpy(numpy_folder()))


def bubblewrap(code: str) -> Command | None:
    """Return the same in bubblewrap: all namespaces, a read-only root, fresh /proc, /dev and tmpfs; None without it."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return None
    interpreter = find_interpreter(None)
    executable = interpreter.executable
    binds = ["--ro-bind", "/usr", "/usr"]
    for name in ("/bin", "/sbin", "/lib", "/lib64"):
        if os.path.islink(name):
            binds += ["--symlink", os.readlink(name), name]
        elif os.path.isdir(name):
            binds += ["--ro-bind", name, name]
    if not interpreter.prefix.startswith("/usr"):
        binds += ["--ro-bind", interpreter.prefix, _INSIDE]
        executable = _INSIDE + executable.removeprefix(interpreter.prefix)
    packages = numpy_folder()
    if packages is not None:
        binds += ["--ro-bind", packages, "/opt/site-packages"]
    arguments = [
        bwrap, "--unshare-all", "--die-with-parent", *binds, "--proc", "/proc", "--dev", "/dev",
        "--tmpfs", "/tmp", "--tmpfs", "/workspace", "--chdir", "/workspace", executable, "-S", "-c", code,
    ]  # fmt: skip  # noqa: S108  # its own /tmp
    return Command(arguments, _with_numpy(packages and "/opt/site-packages"))


def _with_numpy(folder: str | None) -> dict[str, str]:
    return _ENVIRONMENT | ({"PYTHONPATH": folder} if folder else {})
