"""Landlock: what files, sockets and processes a thread and its children may still reach.

The set of rights grows with the kernel's ABI version; what an older kernel does not know is left out, and the
version in force is part of the posture, so nobody takes an old kernel's rules for a new one's.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterable

from sandbox.linux import calls

_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1

EXECUTE = 1 << 0
WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
_FS_V1 = (1 << 13) - 1  # the thirteen rights of ABI 1
REFER = 1 << 13  # ABI 2
TRUNCATE = 1 << 14  # ABI 3
IOCTL_DEV = 1 << 15  # ABI 5
_ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
_NET_TCP = 0b11  # bind and connect, ABI 4
_SCOPES = 0b11  # abstract UNIX sockets and signals, ABI 6

_ABI_REFER, _ABI_TRUNCATE, _ABI_NET, _ABI_IOCTL, ABI_SCOPES = 2, 3, 4, 5, 6

READ = EXECUTE | READ_FILE | READ_DIR
READ_WRITE_ONE = READ_FILE | WRITE_FILE | TRUNCATE
"""What a device is used with."""


class _RulesetAttributes(ctypes.Structure):
    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def abi() -> int:
    """Return the kernel's Landlock ABI version; 0 where there is none or it is not enabled."""
    return probe()[0]


def probe() -> tuple[int, int]:
    """Return the ABI version, or 0 with the errno that says why: ENOSYS, EOPNOTSUPP or EPERM."""
    try:
        version = calls.call(
            calls.LANDLOCK_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION, what="landlock_create_ruleset"
        )
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            return 0, error.errno
        raise
    return version, 0


def every_right(version: int) -> int:
    """Return all file system rights that ABI `version` knows."""
    rights = _FS_V1
    for since, right in ((_ABI_REFER, REFER), (_ABI_TRUNCATE, TRUNCATE), (_ABI_IOCTL, IOCTL_DEV)):
        if version >= since:
            rights |= right
    return rights


def restrict(version: int, allowed: Iterable[tuple[str, int]], *, tcp: bool) -> None:
    """Confine the calling thread and all that it will start. Needs no_new_privs.

    Args:
        version: the ABI to use, as `abi` returned it, at least 1.
        allowed: folders or files with the rights that hold at and beneath them; all else is denied.
        tcp: whether TCP may be used (only kernels of ABI 4 or later can deny it).
    """
    rights = every_right(version)
    attributes = _RulesetAttributes(
        fs=rights,
        net=_NET_TCP if version >= _ABI_NET and not tcp else 0,
        scoped=_SCOPES if version >= ABI_SCOPES else 0,
    )
    # Older kernels refuse a longer structure unless the unknown rest is zero, which it is.
    ruleset = calls.call(
        calls.LANDLOCK_CREATE_RULESET,
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
        0,
        what="landlock_create_ruleset",
    )
    try:
        for path, wanted in allowed:
            parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                # A rule about one file must not speak of folders.
                possible = rights if stat.S_ISDIR(os.fstat(parent).st_mode) else rights & _ON_FILES
                rule = _PathBeneath(allowed=wanted & possible, parent=parent)
                calls.call(
                    calls.LANDLOCK_ADD_RULE,
                    ruleset,
                    _RULE_PATH_BENEATH,
                    ctypes.byref(rule),
                    0,
                    what=f"landlock_add_rule {path}",
                )
            finally:
                os.close(parent)
        calls.call(calls.LANDLOCK_RESTRICT_SELF, ruleset, 0, what="landlock_restrict_self")
    finally:
        os.close(ruleset)
