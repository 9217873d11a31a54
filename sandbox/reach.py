"""Why an interpreter cannot be run, or cannot be seen by sessions: which part of its path is at fault."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from sandbox.host import mount_points
from sandbox.interpreter import Interpreter
from sandbox.obstacles import Obstacle

_ELSEWHERE = "use an interpreter that lives elsewhere: --set python=/usr/bin/python3"
_FOR_OTHERS = 0o5


def of_path(path: str) -> Obstacle | None:
    """Return what keeps this process from executing `path`; None where nothing is seen."""
    for part in _parts(path):
        try:
            mode = os.stat(part).st_mode
        except PermissionError:
            continue  # by a folder above that is closed, which was looked at before this
        except OSError as error:
            return Obstacle(f"there is no {part} ({os.strerror(error.errno or 0)})", _ELSEWHERE)
        if stat.S_ISDIR(mode) and part != path:
            if not os.access(part, os.X_OK):
                return Obstacle(
                    f"the folder {part} is closed to user {os.geteuid()} (its mode is {_shown(mode)})",
                    f"chmod o+x {part}, or {_ELSEWHERE}",
                )
        elif not mode & 0o111 or not stat.S_ISREG(mode):
            return Obstacle(f"{part} is no program (its mode is {_shown(mode)})", _ELSEWHERE)
        elif os.statvfs(part).f_flag & os.ST_NOEXEC:
            point = _mount_point(part)
            return Obstacle(
                f"{part} lies on a file system that is mounted noexec ({point})",
                f"sudo mount -o remount,exec {point}, or {_ELSEWHERE}",
            )
        elif not os.access(part, os.R_OK | os.X_OK):
            return Obstacle(
                f"{part} may not be read and executed by user {os.geteuid()} (its mode is {_shown(mode)})",
                f"chmod o+rx {part}, or {_ELSEWHERE}",
            )
    return None


def of_sessions(interpreter: Interpreter, packages: Iterable[str] = ()) -> Obstacle | None:
    """Return what keeps sessions with user ids of their own from reading the interpreter, or packages for it.

    The folders above its prefix, and above a package, do not matter to them: a cage shows the things
    themselves.
    """
    below = interpreter.executable.removeprefix(interpreter.prefix)
    for part in (interpreter.prefix, *(interpreter.prefix + rest for rest in _parts(below))):
        closed = _closed_to_others(part)
        if closed:
            return Obstacle(closed, f"chmod -R o+rX {interpreter.prefix}, or {_ELSEWHERE}")
    for package in packages:
        closed = _closed_to_others(package)
        if closed:
            return Obstacle(closed, f"chmod -R o+rX {package}")
    return None


def _closed_to_others(path: str) -> str:
    mode = os.stat(path).st_mode
    needed = _FOR_OTHERS if mode & 0o111 or stat.S_ISDIR(mode) else stat.S_IROTH
    if mode & needed == needed:
        return ""
    return f"{path} is closed to others (mode {_shown(mode)}), and sessions have ids of their own"


def _parts(path: str) -> Iterator[str]:
    """Yield every folder on the way to `path`, then `path`."""
    whole = Path(path).absolute()
    yield from (str(folder) for folder in reversed(whole.parents))
    yield str(whole)


def _shown(mode: int) -> str:
    return f"{stat.S_IMODE(mode):04o}"


def _mount_point(path: str) -> str:
    points = mount_points()
    return next(part for part in reversed(list(_parts(os.path.realpath(path)))) if part in points)
