"""Running Python by other means: cold, and in bubblewrap with every namespace."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import attrs

from sandbox.interpreter import find_interpreter

CODE = {"plain": "x = 1\nprint(x)", "numpy": "import numpy\nx = 1\nprint(x)"}
"""The work, by its kind: the same for every way to run it."""

THEN_WAIT = "\nimport sys; sys.stdout.flush(); sys.stdin.read()"
"""Put behind the work it says that this is done, and keeps the interpreter alive while its input is open."""

_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
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
            self.arguments,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            cwd="/",
        )


def numpy_folder() -> str | None:
    """Return the folder that numpy is installed in; None when it is not installed."""
    try:
        return str(Path(str(metadata.distribution("numpy").locate_file(""))).resolve())
    except metadata.PackageNotFoundError:
        return None


def cold(code: str) -> Command:
    """Return ``python3 -c code``, with the interpreter that sessions use.

    Whatever fills that interpreter's own site-packages is left out (``-S``), as it is in bubblewrap and in a
    cage: what its ``.pth`` files import would be counted otherwise.
    """
    return Command([find_interpreter(None).executable, "-S", "-c", code], _with_numpy(numpy_folder()))


def bubblewrap(code: str) -> Command | None:
    """Return the same in bubblewrap; None where that is not installed.

    All namespaces, a read-only root, fresh /proc and /dev, tmpfs for what is writable.
    """
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return None
    interpreter = find_interpreter(None)
    executable = interpreter.executable
    binds = ["--ro-bind", "/usr", "/usr"]
    libraries: dict[str, str] = {}
    for name in ("/bin", "/sbin", "/lib", "/lib64"):
        if Path(name).is_symlink():
            binds += ["--symlink", str(Path(name).readlink()), name]
        elif Path(name).is_dir():
            binds += ["--ro-bind", name, name]
    if not interpreter.prefix.startswith("/usr"):
        binds += ["--ro-bind", interpreter.prefix, _INSIDE]
        libraries["LD_LIBRARY_PATH"] = f"{_INSIDE}/lib"  # its own may be there
        executable = _INSIDE + executable.removeprefix(interpreter.prefix)
        binds += ["--tmpfs", _INSIDE + interpreter.purelib.removeprefix(interpreter.prefix)]
    packages = numpy_folder()
    if packages is not None:
        binds += ["--ro-bind", packages, "/opt/site-packages"]
    arguments = [
        bwrap, "--unshare-all", "--die-with-parent", *binds, "--proc", "/proc", "--dev", "/dev",
        "--tmpfs", "/tmp", "--tmpfs", "/workspace", "--chdir", "/workspace", executable, "-c", code,  # noqa: S108
    ]  # fmt: skip
    return Command(arguments, _with_numpy(packages and "/opt/site-packages") | libraries)


def _with_numpy(folder: str | None) -> dict[str, str]:
    return _ENVIRONMENT | ({"PYTHONPATH": folder} if folder else {})
