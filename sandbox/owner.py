"""Whose a folder or a control group is, and whether its server still lives.

What a server makes outside of itself it names after itself, for whoever looks, and holds a lock on. The
kernel lets go of the lock with the last process that has its descriptor, so what can be locked is nobody's
any more. The number in the name would not tell: two containers may share a folder, each with such a process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
from collections.abc import Iterator

_NAME = re.compile(r"creche-\d+-[0-9a-f]+$")
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def new_name() -> str:
    """Return a name after this process that nothing has yet, ``creche-<pid>-<random>``."""
    return f"creche-{os.getpid()}-{secrets.token_hex(6)}"


def make(path: str) -> int:
    """Make a folder and lock it; return the descriptor by which it is held. Others may enter and list it.

    Raises:
        OSError: it could not be made, or exists.
    """
    while True:
        os.mkdir(path, 0o700)
        try:
            held = _lock(path, fcntl.LOCK_EX)
        except FileNotFoundError:
            continue  # another server that starts now took it for a dead one's, before it was locked
        except OSError:
            os.rmdir(path)
            raise
        os.fchmod(held, 0o755)
        return held


def abandoned(parent: str) -> Iterator[str]:
    """Give out paths of what servers that no longer live left in `parent`, each locked until the next."""
    for name in os.listdir(parent):
        if _NAME.match(name):
            path = os.path.join(parent, name)
            with contextlib.suppress(OSError):  # its server lives, or another one that starts now was faster
                held = _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
                try:
                    yield path
                finally:
                    os.close(held)


def _lock(path: str, how: int) -> int:
    held = os.open(path, _FLAGS)
    try:
        fcntl.flock(held, how)
        is_there = os.path.samestat(os.fstat(held), os.stat(path, follow_symlinks=False))
    except OSError as error:
        os.close(held)
        raise OSError(error.errno, error.strerror, path) from None
    if not is_there:
        os.close(held)
        raise FileNotFoundError(path)
    return held
