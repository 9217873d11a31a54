"""Raw system calls through ctypes, for what the standard library does not wrap.

`call` is `syscall(2)` with errno turned into OSError. The GIL is kept during the call (PyDLL): every use is
short, and a clone must return into a child that still holds it.
"""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Any

libc = ctypes.PyDLL(None, use_errno=True)

AT_FDCWD = -100

# Numbers from 424 on are the same on every architecture (Linux 5.1 unified them).
PIDFD_SEND_SIGNAL = 424
OPEN_TREE = 428
MOVE_MOUNT = 429
CLONE3 = 435
CLOSE_RANGE = 436
OPENAT2 = 437
MOUNT_SETATTR = 442
LANDLOCK_CREATE_RULESET = 444
LANDLOCK_ADD_RULE = 445
LANDLOCK_RESTRICT_SELF = 446

_OLDER = {
    "x86_64": {"pivot_root": 155, "capset": 126, "seccomp": 317},
    "aarch64": {"pivot_root": 41, "capset": 91, "seccomp": 277},
}


def number(name: str) -> int:
    """Return the number of one of the few older calls that are used here.

    Raises:
        OSError: ENOSYS on an architecture other than x86_64 and aarch64.
    """
    try:
        return _OLDER[platform.machine()][name]
    except KeyError:
        raise OSError(38, f"{name} on {platform.machine()}: only x86_64 and aarch64 are supported") from None


def call(number_: int, *arguments: Any, what: str) -> int:
    """Make a system call.

    Args:
        number_: its number.
        arguments: ints, bytes, ctypes objects or None, as `syscall(2)` takes them.
        what: names the call and its object in the error.

    Raises:
        OSError: the call failed.
    """
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = int(libc.syscall(ctypes.c_long(number_), *words))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result


def check(result: int, what: str) -> int:
    """Return the result of a libc function, or raise OSError when it is negative."""
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result
