"""Runs a task's hidden test script over the files that a dead session left, in a place that it never was.

The files are written first, then the tests, into another folder. The script itself is never a file, nor an
argument that others could see: a shell reads a script while it runs it, so that a program under test could
rewrite what is still to come. When it has ended, all that it has started is ended too, and then the other
tests must be what they were. What a script runs behind ``as_candidate`` cannot see the tests
(`judging_apart`).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from typing import Any

from tools.judging_apart import NAME, why_not, write_command
from tools.judging_program import SET_CHILD_SUBREAPER, SET_DUMPABLE, end_leftovers, process_control

_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PYTHONSAFEPATH": "1",
    "PYTHONNOUSERSITE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_READ_AND_RUN = "IFS= read -rd '' -u {0} script; exec {0}<&-; eval \"$script\""
_NAMED = re.compile(rf"\b{NAME}\b")


def run_script(
    state: dict[str, Any], files: dict[str, str], tests: dict[str, str], script: str
) -> dict[str, Any]:
    """Run `script` in the working directory.

    Args:
        state: the lane's; not used.
        files: path to content in base64: what the session left, below the working directory.
        tests: the same of hidden tests, below a folder that the script knows as ``$TESTS``.
        script: for bash.

    Returns:
        ``{"exit_code": int, "tampered": [path]}``, or ``{"unusable": reason}`` when the script cannot be run
        here.
    """
    del state
    unusable = "a script cannot have null characters" if "\0" in script else ""
    if _NAMED.search(script):
        unusable = unusable or why_not()
    if unusable:
        return {"unusable": unusable}
    top = tempfile.gettempdir()
    folder, commands, own = (os.path.join(top, name) for name in ("tests", "commands", "candidate"))
    for place, contents in ((os.getcwd(), files), (folder, tests)):
        os.makedirs(place, exist_ok=True)
        for path, data in contents.items():
            _write(os.path.join(place, path), base64.b64decode(data))
    os.makedirs(commands)
    write_command(commands, own)
    environment = {
        **_ENVIRONMENT, "HOME": top, "TMPDIR": top, "TESTS": folder, "WORKSPACE": os.getcwd(),
        "PATH": os.pathsep.join((commands, os.path.dirname(sys.executable), _SYSTEM_PATH)),
    }  # fmt: skip  # nothing of the session's
    if "LD_LIBRARY_PATH" in os.environ:  # by which an interpreter outside of /usr finds its own library
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    code = _run(script, environment)
    changed = [path for path, data in tests.items() if _digest(os.path.join(folder, path)) != _of(data)]
    return {"exit_code": code, "tampered": changed}


def _run(script: str, environment: dict[str, str]) -> int:
    """Run a shell to its end, and end what it leaves running."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    process_control(SET_CHILD_SUBREAPER, 1)
    process_control(SET_DUMPABLE, 0)  # or what the script runs could write into this process through /proc
    with tempfile.TemporaryFile() as text:
        text.write(script.encode("utf-8", "surrogatepass"))
        text.seek(0)
        number = text.fileno()
        shell = subprocess.Popen(
            ["/bin/bash", "--noprofile", "--norc", "-c", _READ_AND_RUN.format(number)],
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
            pass_fds=(number,),
        )
    try:
        return shell.wait()
    finally:  # also when the call's deadline has passed
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
        end_leftovers()


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    # What a session's files may do is not captured. A script says of itself that it is one. The mode is given
    # when the file is made, for it cannot be changed where there are no namespaces.
    mode = 0o755 if data.startswith((b"#!", b"\x7fELF")) else 0o644
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(data)


def _digest(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return ""


def _of(data: str) -> str:
    return hashlib.sha256(base64.b64decode(data)).hexdigest()
