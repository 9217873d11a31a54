"""Runs a task's hidden test script over the files that a dead session left, in a place that it never was.

The files are written first, then the tests, into another folder. The script itself is never a file: a shell
reads a script while it runs it, so that a program under test could rewrite what is still to come. When it has
ended, the other tests must be what they were.
"""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import subprocess
import sys
from typing import Any

TESTS = "/tmp/tests"
_ENVIRONMENT = {
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "TESTS": TESTS,
    "PYTHONSAFEPATH": "1",
    "PYTHONNOUSERSITE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run_script(
    state: dict[str, Any], files: dict[str, str], tests: dict[str, str], script: str
) -> dict[str, Any]:
    """Run `script` in the working directory and return ``{"exit_code": int, "tampered": [path]}``.

    Args:
        state: the lane's; not used.
        files: path to content in base64: what the session left, below the working directory.
        tests: the same of hidden tests, below `TESTS`, which the script knows as ``$TESTS``.
        script: for bash.
    """
    del state
    for folder, contents in ((os.getcwd(), files), (TESTS, tests)):
        os.makedirs(folder, exist_ok=True)
        for path, data in contents.items():
            _write(os.path.join(folder, path), base64.b64decode(data))
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    path = f"{os.path.dirname(sys.executable)}:{_SYSTEM_PATH}"  # nothing of the session's is in it
    shell = subprocess.Popen(
        ["/bin/bash", "--noprofile", "--norc", "-c", script],
        stdin=subprocess.DEVNULL,
        env={**_ENVIRONMENT, "PATH": path},
        start_new_session=True,
    )
    try:
        code = shell.wait()
    except KeyboardInterrupt:  # the call's deadline has passed
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
        raise
    changed = [path for path, data in tests.items() if _digest(os.path.join(TESTS, path)) != _of(data)]
    return {"exit_code": code, "tampered": changed}


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    # What a session's files may do is not captured. A script says of itself that it is one.
    os.chmod(path, 0o755 if data.startswith((b"#!", b"\x7fELF")) else 0o644)


def _digest(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return ""


def _of(data: str) -> str:
    return hashlib.sha256(base64.b64decode(data)).hexdigest()
