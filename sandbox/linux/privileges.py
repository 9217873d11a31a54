"""Giving up: capabilities, new privileges, core dumps, descriptors."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

from sandbox.linux import calls

_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_SECUREBITS = 28
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4

_CAPABILITY_VERSION_3 = 0x20080522
_LAST_POSSIBLE_CAPABILITY = 63
_MAX_DESCRIPTOR = 0xFFFFFFFF

# NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE, each with its lock: being user 0 or executing a file gives
# nothing.
_SECUREBITS = 0b11_00_11_11


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


def _prctl(option: int, a: int = 0, b: int = 0, *, what: str) -> None:
    calls.check(
        calls.libc.prctl(option, ctypes.c_ulong(a), ctypes.c_ulong(b), ctypes.c_ulong(0), ctypes.c_ulong(0)),
        what,
    )


def set_dumpable(*, dumpable: bool) -> None:
    """Set whether the same user may trace this process, and whether its /proc entry is its user's."""
    _prctl(_PR_SET_DUMPABLE, int(dumpable), what="PR_SET_DUMPABLE")


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies. Not inherited."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, what="PR_SET_CHILD_SUBREAPER")


def lock_capabilities() -> None:
    """Lock the ways in which a capability set could be filled again. Needs CAP_SETPCAP."""
    _prctl(_PR_SET_SECUREBITS, _SECUREBITS, what="PR_SET_SECUREBITS")
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, what="PR_CAP_AMBIENT_CLEAR_ALL")
    zero = ctypes.c_ulong(0)
    for capability in range(_LAST_POSSIBLE_CAPABILITY + 1):
        if calls.libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability), zero, zero, zero) != 0:
            break  # EINVAL: one past the last that this kernel knows


def empty_capabilities() -> None:
    """Give up all capabilities held, for good where no_new_privs is set or `lock_capabilities` was called."""
    header = _CapabilityHeader(version=_CAPABILITY_VERSION_3, pid=0)
    nothing = (ctypes.c_uint32 * 6)()
    calls.call(calls.number("capset"), ctypes.byref(header), ctypes.byref(nothing), what="capset")


def forbid_new_privileges() -> None:
    """Set no_new_privs, which every child and every program executed inherits."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, what="PR_SET_NO_NEW_PRIVS")


def close_all_but(keep: Iterable[int]) -> None:
    """Close every descriptor that is not in `keep`."""
    first = 0
    for descriptor in sorted(set(keep)):
        if descriptor > first:
            _close_range(first, descriptor - 1)
        first = descriptor + 1
    _close_range(first, _MAX_DESCRIPTOR)


def _close_range(first: int, last: int) -> None:
    calls.call(
        calls.CLOSE_RANGE, ctypes.c_uint(first), ctypes.c_uint(last), ctypes.c_uint(0), what="close_range"
    )


def become(user: int, group: int) -> None:
    """Take on these ids for good, without supplementary groups where the namespace lets them be dropped."""
    try:
        os.setgroups([])
    except PermissionError:
        pass  # setgroups is denied for the namespace, so there were none to gain and none can be dropped
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
