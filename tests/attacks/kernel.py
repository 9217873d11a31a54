"""The kernel's part, played by the test: running a seccomp program, and looking at processes from outside."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import hashlib
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
KILL, ALLOW = "kill", "allow"

_INSTRUCTION = struct.Struct("=HBBI")
_DATA = struct.Struct("=iIQ6Q")  # struct seccomp_data: number, architecture, instruction pointer, arguments
_LOAD, _AND, _RETURN, _JUMP = 0x20, 0x54, 0x06, 0x05
_CONDITIONS: dict[int, Callable[[int, int], bool]] = {
    0x15: lambda word, value: word == value,
    0x25: lambda word, value: word > value,
    0x35: lambda word, value: word >= value,
    0x45: lambda word, value: bool(word & value),
}
_LARGEST_WORD = 0xFFFFFFFF
_NS_GET_PARENT = 0xB702

_Seen = TypeVar("_Seen")


class Program:
    """A seccomp program, as a list of instructions that can be run without a kernel."""

    def __init__(self, program: bytes) -> None:
        """Read a program as `compile_policy` returns it."""
        self._instructions = list(_INSTRUCTION.iter_unpack(program))

    def verdict(self, architecture: int, number: int, *arguments: int) -> str:
        """Return what becomes of a call: "allow", "kill", an errno's name, or "done": success is feigned."""
        data = _DATA.pack(_signed(number), architecture, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
        at = word = 0
        while True:
            code, if_true, if_false, value = self._instructions[at]
            at += 1
            if code == _LOAD:
                (word,) = struct.unpack_from("=I", data, value)
            elif code == _AND:
                word &= value
            elif code == _JUMP:
                at += value
            elif code in _CONDITIONS:
                at += if_true if _CONDITIONS[code](word, value) else if_false
            elif code == _RETURN:
                return _meaning(value)
            else:
                msg = f"an instruction that seccomp policies here have never had: {code:#x}"
                raise AssertionError(msg)

    def argument_words(self) -> set[int]:
        """Return the offsets in ``struct seccomp_data`` that the program ever looks at."""
        return {value for code, _, _, value in self._instructions if code == _LOAD}

    def interesting(self) -> list[int]:
        """Return words that tell any two of its comparisons apart: each constant and its neighbours."""
        constants = {value for code, _, _, value in self._instructions if code in _CONDITIONS or code == _AND}
        near = {(value + step) & _LARGEST_WORD for value in constants for step in (-1, 0, 1)}
        return sorted(near | {1 << bit for bit in range(32)} | {0, _LARGEST_WORD})


def _signed(number: int) -> int:
    return number - (1 << 32) if number >= 1 << 31 else number


def _meaning(returned: int) -> str:
    kind, data = returned & 0xFFFF0000, returned & 0xFFFF
    if kind == 0x7FFF0000:
        return ALLOW
    if kind == 0x00050000:
        return errno.errorcode[data] if data else "done"
    assert kind in (0x80000000, 0), hex(returned)
    return KILL


def _with_the_cages_rights(look: Callable[..., _Seen]) -> Callable[..., _Seen]:
    """Make a look at a process succeed for the user who started its cage, too.

    That user is not the session's where each session has one of its own, but has all rights in the cage's
    user namespace, which is the one around the session's: a child process that has entered it looks again.
    """

    @functools.wraps(look)
    def looked(pid: int | str, *others: Any) -> _Seen:
        try:
            return look(pid, *others)
        except PermissionError:
            if os.geteuid() == 0:
                raise
            wanted = pickle.dumps((look.__name__, pid, *others))
            told = subprocess.run(
                [sys.executable, "-P", "-m", __name__], input=wanted, stdout=subprocess.PIPE, check=True
            )
            seen: _Seen = pickle.loads(told.stdout)
            return seen

    return looked


def _look_from_the_cage() -> None:
    """Be that child."""
    name, pid, *others = pickle.load(sys.stdin.buffer)
    session = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
    cage = fcntl.ioctl(session, _NS_GET_PARENT)
    if ctypes.CDLL(None, use_errno=True).setns(cage, 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    pickle.dump(globals()[name].__wrapped__(pid, *others), sys.stdout.buffer)


@_with_the_cages_rights
def proc(pid: int | str, name: str) -> str:
    """Return a file of a process's folder in /proc, as text."""
    return Path(f"/proc/{pid}/{name}").read_text()


@_with_the_cages_rights
def descriptors(pid: int | str) -> dict[int, str]:
    """Return what a process holds: number and what it is of."""
    held: dict[int, str] = {}
    for link in list(Path(f"/proc/{pid}/fd").iterdir()):
        with contextlib.suppress(FileNotFoundError):  # by which the listing itself was made
            held[int(link.name)] = str(link.readlink())
    return held


@_with_the_cages_rights
def modes(pid: int | str) -> dict[int, int]:
    """Return what kind of file each descriptor of a process is of, as `stat` has it."""
    return {int(link.name): link.stat().st_mode for link in Path(f"/proc/{pid}/fd").iterdir()}


@_with_the_cages_rights
def namespaces(pid: int | str) -> dict[str, str]:
    """Return the namespaces that a process is in."""
    return {link.name: str(link.readlink()) for link in sorted(Path(f"/proc/{pid}/ns").iterdir())}


def digest_of(path: str) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@_with_the_cages_rights
def memory_of(pid: int | str) -> bytes:
    """Return what a process may write of its memory, from outside."""
    parts: list[bytes] = []
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for start, end in _writable(Path(f"/proc/{pid}/maps").read_text().splitlines()):
            memory.seek(start)
            try:
                parts.append(memory.read(end - start))
            except OSError:  # what is mapped beyond a file's end
                continue
    return b"".join(parts)


def _writable(maps: Iterable[str]) -> Iterator[tuple[int, int]]:
    for row in maps:
        span, mode = row.split()[:2]
        if mode.startswith("rw"):
            start, end = (int(word, 16) for word in span.split("-"))
            yield start, end


if __name__ == "__main__":
    _look_from_the_cage()
