"""Loading a seccomp filter that was compiled elsewhere.

Compiling needs libseccomp and takes a millisecond; it is done once, by the server (`sandbox.syscall_filter`).
Here the finished program is handed to the kernel, which copies it: a few microseconds per session.
"""

from __future__ import annotations

import ctypes

from sandbox.linux import calls

_SECCOMP_SET_MODE_FILTER = 1
_INSTRUCTION_BYTES = 8


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def load(program: bytes) -> None:
    """Install a BPF program (an array of ``struct sock_filter``) for this thread. Needs no_new_privs.

    Raises:
        ValueError: its length is no multiple of an instruction's.
        OSError: the kernel refuses it.
    """
    if not program or len(program) % _INSTRUCTION_BYTES:
        msg = f"a filter of {len(program)} bytes is no array of instructions"
        raise ValueError(msg)
    prepared = _Program(length=len(program) // _INSTRUCTION_BYTES, instructions=program)
    calls.call(
        calls.number("seccomp"),
        _SECCOMP_SET_MODE_FILTER,
        0,
        ctypes.byref(prepared),
        what="seccomp(SET_MODE_FILTER)",
    )
