"""The Python that a profile wants inside: where it lives, and whether it is one that can be used."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys

import attrs

from sandbox.errors import Unsupported

_PROBE_SECONDS = 10
_PROBE = """
import json, sys, sysconfig
print(json.dumps({
    "version": sys.version_info[:2], "prefix": sys.base_prefix,
    "executable": getattr(sys, "_base_executable", sys.executable) or sys.executable,
    "purelib": sysconfig.get_path("purelib", vars={"base": sys.base_prefix}),
}))
"""
_OLDEST = (3, 9)


@attrs.frozen
class Interpreter:
    """A Python as it is outside: its prefix, its executable, and where it keeps third-party packages."""

    prefix: str
    executable: str
    purelib: str


@functools.cache
def find_interpreter(path: str | None) -> Interpreter:
    """Ask an interpreter where it lives.

    Args:
        path: the interpreter, or None for the base interpreter of the running one.

    Raises:
        Unsupported: it cannot be run, or is older than Python 3.9.
    """
    command: str = path or getattr(sys, "_base_executable", None) or sys.executable
    try:
        answer = subprocess.run(
            [command, "-I", "-S", "-c", _PROBE],
            capture_output=True, check=True, timeout=_PROBE_SECONDS, env={}, stdin=subprocess.DEVNULL,
        ).stdout  # fmt: skip
        told = json.loads(answer)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        msg = (
            f"the profile's interpreter {command} does not run: {error}; set Profile.python to one that does"
        )
        raise Unsupported(msg) from None
    if tuple(told["version"]) < _OLDEST:
        msg = f"the profile's interpreter {command} is Python {told['version']}; it must be 3.9 or later"
        raise Unsupported(msg)
    return Interpreter(
        prefix=os.path.realpath(told["prefix"]),
        executable=os.path.realpath(told["executable"]),
        purelib=os.path.realpath(told["purelib"]),
    )
