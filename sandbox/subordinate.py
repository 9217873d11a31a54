"""The ids that an ordinary user may give to its sessions, or why there are none.

They need three things: a range in /etc/subuid and /etc/subgid, newuidmap and newgidmap to map it, and a
kernel that can show the server, to whom these ids do not belong, their files as its own. What the two files
grant is then tried.
"""

from __future__ import annotations

import errno
import functools
import os
import platform
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

from sandbox import host, obstacles
from sandbox.ids import IDS, Ids
from sandbox.obstacles import Obstacle

FEWEST = 4_096
"""A range is used from here on: one that is too short for a server's sessions would refuse them one day."""

_USERS, _GROUPS = Path("/etc/subuid"), Path("/etc/subgid")
_PATH = "/usr/local/bin:/usr/bin:/bin"
_FIRST_FREE = 100_000
_NO_NEW_PRIVILEGES = Obstacle(
    "no_new_privs is set for the server, which keeps newuidmap from its rights",
    "start it without (systemd: NoNewPrivileges=no; docker run without no-new-privileges)",
)
_Range = tuple[int, int]  # first id, and the first behind the last


def find() -> Ids | Obstacle:
    """Return what this process's user can give to sessions; starts a process, the first time.

    Raises:
        Exhausted: no process can be started to try it.
    """
    user = os.geteuid()
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        return Obstacle(
            f"user {user} has no account, and newuidmap serves only users who have one",
            "run the server as a user with an account",
        )
    users, groups = (list(_granted(path, user, name)) for path in (_USERS, _GROUPS))
    common = ((max(a, c), min(b, d)) for a, b in users for c, d in groups)
    first, end = max(common, key=lambda each: each[1] - each[0], default=(0, 0))
    mappers = tuple(shutil.which(mapper, path=_PATH) for mapper in ("newuidmap", "newgidmap"))
    if host.gains_no_privileges() and (end - first < FEWEST or None in mappers):
        return _NO_NEW_PRIVILEGES  # before anything is installed or granted in vain
    if end - first < FEWEST:
        return Obstacle(
            f"user {name} has no {FEWEST} ids that follow one another in both {_USERS} and {_GROUPS}",
            _grant(name),
        )
    if mappers[0] is None or mappers[1] is None:
        return Obstacle(
            f"user {name} has a range of ids, but newuidmap and newgidmap, which map it, are not installed",
            "sudo apt-get install uidmap (Fedora: dnf install shadow-utils-subid)",
        )
    ids = Ids(first, min(end - first, IDS - 1), (mappers[0], mappers[1]))
    return _try(ids) or ids


def _granted(path: Path, user: int, name: str) -> Iterator[_Range]:
    """Yield the ranges that a file grants to a user, who is named in it or numbered."""
    for owner, first, end in _rows(path):
        if owner in (name, str(user)):
            yield first, end


def _rows(path: Path) -> Iterator[tuple[str, int, int]]:
    try:
        rows = path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return
    for row in rows:
        owner, _, numbers = row.strip().partition(":")
        first, _, count = numbers.partition(":")
        if first.isdecimal() and count.isdecimal():
            yield owner, int(first), int(first) + int(count)


def _grant(name: str) -> str:
    ends = [end for path in (_USERS, _GROUPS) for _, _, end in _rows(path)]
    first = max([_FIRST_FREE, *ends])
    span = f"{first}-{first + IDS - 1}"
    return f"sudo usermod --add-subuids {span} --add-subgids {span} {name}"


@functools.cache
def _try(ids: Ids) -> Obstacle | None:
    """Return what keeps these ids from being used. Asked once: neither mappers nor kernel change."""
    steps, complaint = obstacles.attempt_subordinate(ids)
    if steps.get("subordinate ids") and complaint:
        if host.gains_no_privileges():
            return _NO_NEW_PRIVILEGES
        return Obstacle(
            f"its range of ids was refused: {complaint.strip().splitlines()[-1]}",
            "see newuidmap(1): it has to be set-uid root, and outside of user namespaces that lack these ids",
        )
    step, error = next(((step, error) for step, error in steps.items() if error), ("", 0))
    code = errno.errorcode.get(error, error)
    if step == "mapped mounts":
        return Obstacle(
            f"Linux {platform.release()} cannot show the server files of other ids as its own ({code})",
            "upgrade the kernel to 6.3 or later",
        )
    return Obstacle(f"the {step} were refused ({code})", "see the rows below") if step else None
