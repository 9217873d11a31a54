"""`openat2(2)` with the resolution rules that make a hostile tree safe to read."""

from __future__ import annotations

import ctypes
import os

from sandbox.linux import calls

_NO_XDEV = 0x01
_NO_MAGICLINKS = 0x02
_NO_SYMLINKS = 0x04
_BENEATH = 0x08


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def open_beneath(directory: int, path: bytes, flags: int) -> int:
    """Open `path` below `directory`, following no link and leaving neither the tree nor its mount.

    Returns:
        A close-on-exec descriptor, the caller's to close.

    Raises:
        OSError: ELOOP for a symbolic link anywhere in the path, EXDEV for a way out, and all that `open`
        raises.
    """
    how = _OpenHow(
        flags=flags | os.O_CLOEXEC | os.O_NOFOLLOW,
        resolve=_BENEATH | _NO_SYMLINKS | _NO_MAGICLINKS | _NO_XDEV,
    )
    return calls.call(
        calls.OPENAT2,
        directory,
        path,
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
        what=f"openat2 {path!r}",
    )
