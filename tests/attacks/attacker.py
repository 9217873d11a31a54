"""An attacker in a live session, and the eyes with which a test watches it from outside.

The attacker is what a model is: it has the shipped tools and nothing else. What it says it saw is half of an
observation. The other half is seen from here: processes, counters, files and the server's own memory, by
functions that ask the host's kernel and never the session.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import os
import re
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pyseccomp
import trio

from sandbox.observation import Outcome
from sandbox.profile import Handler, Profile
from server.sessions.files import WRITER
from tests.sandbox.handlers import SMALL
from tools.shipped import SHIPPED
from tools.shipping import handlers_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from sandbox.box import Box
    from sandbox.final_state import FinalState
    from sandbox.launcher import Launcher
    from sandbox.limits import Limits
    from sandbox.observation import Observation

HANDLERS: tuple[Handler, ...] = (*handlers_of(SHIPPED.values()), WRITER)
PROFILE = Profile(name="attacks", handlers=HANDLERS)
"""What a rollout has: the shipped tools, and the handler by which the server itself writes files."""

LIMITS = attrs.evolve(SMALL, call_seconds=40.0, disk_inodes=4096, final_state_files=64)
"""Limits that an attack can hit in a moment."""

GRACE = 20.0
"""Seconds within which whatever must end has ended, on a busy machine too: the sandbox's own grace is one.

What is waited for here would otherwise last for minutes or for ever.
"""

_RAW = """
import ctypes as _ctypes, errno as _errno, os, sys, time
_libc = _ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = _ctypes.c_long
def raw(number, *arguments):
    words = [_ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    answer = _libc.syscall(_ctypes.c_long(number), *words)
    return answer if answer >= 0 else _errno.errorcode[_ctypes.get_errno()]
def attempt(function, *arguments, **named):
    try:
        answer = function(*arguments, **named)
    except OSError as error:
        return _errno.errorcode[error.errno]
    return 'done' if answer is None else answer
class NR: pass
"""
_NAMED = re.compile(r"\bNR\.(\w+)")


@functools.cache
def number_of(name: str) -> int:
    """Return a system call's number on this machine, -1 if it has none."""
    return int(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name))


def prelude(code: str) -> str:
    """Return what gives `code` its helpers, `raw(NR.name, …)` and `attempt(function, …)`, in an interpreter.

    `raw` makes the system call itself, so that a missing wrapper in the C library hides nothing. Both return
    the name of an errno when they fail.
    """
    return _RAW + "".join(f"NR.{name} = {number_of(name)}\n" for name in sorted(set(_NAMED.findall(code))))


@attrs.frozen(eq=False)
class Attacker:
    """Hostile code in a session, by way of the shipped tools.

    Attributes:
        box: the session, from outside.
    """

    box: Box

    async def run(self, code: str, *, seconds: float | None = None) -> Observation:
        """Run Python code, which may use `raw`, `NR` and `attempt`; see `prelude`."""
        return await self.box.call("python", {"code": prelude(code) + code}, seconds=seconds)

    async def value(self, code: str, *, seconds: float | None = None) -> Any:
        """Run Python code, which must go well, and return what it leaves in `result`."""
        observation = await self.run(code + "\nresult", seconds=seconds)
        assert Outcome.OK == observation.outcome, observation
        told = observation.value["result"]
        return None if told is None else ast.literal_eval(told)

    async def raw(self, name: str, *arguments: int | str) -> int | str:
        """Make a raw system call; an argument that is a string is a Python expression."""
        answer: int | str = await self.value(f"result = raw(NR.{name}, {', '.join(map(str, arguments))})")
        return answer

    async def bash(self, command: str, *, seconds: float | None = None) -> Observation:
        """Run a command in the session's shell."""
        return await self.box.call("bash", {"command": command}, seconds=seconds)

    async def is_well(self) -> bool:
        """Whether both interpreters of the session answer, and soon."""
        with trio.move_on_after(GRACE):
            shell = await self.bash("echo $((40 + 2))")
            return (42, "42\n") == (await self.value("result = 40 + 2"), shell.stdout)
        return False

    async def finish(self) -> FinalState:
        """End the session; assert that it took no longer than it may, and that no process is left of it."""
        namespace, started = pid_namespace(self.box), time.monotonic()
        final = await self.box.finish()
        assert time.monotonic() - started < GRACE
        assert [] == inhabitants(namespace)
        if self.box._group is not None:
            assert 0 == self.box._group.pids()
        return final


@asynccontextmanager
async def open_session(launcher: Launcher, limits: Limits = LIMITS) -> AsyncIterator[Attacker]:
    """Open a session with the shipped tools."""
    async with launcher.open_sandbox(PROFILE, limits) as box:
        yield Attacker(box)


async def all_at_once(
    launcher: Launcher, attempts: Iterable[str], play: Callable[[Attacker, str], Awaitable[None]]
) -> None:
    """Have each attempt played in a session of its own, side by side: all wait at the same time."""
    async with trio.open_nursery() as nursery:

        async def one(attempt: str) -> None:
            async with open_session(launcher) as attacker:
                await play(attacker, attempt)

        for attempt in attempts:
            nursery.start_soon(one, attempt)


async def until(condition: Callable[[], object], seconds: float = GRACE) -> None:
    """Wait until `condition` holds; a test fails whose condition does not come about in time."""
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - what it looks at is the kernel's, which sets no event
            await trio.sleep(0.002)


# What is seen from outside.


def _stat(pid: int) -> list[str]:
    # The name, in parentheses, may hold anything.
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


def is_alive(pid: int) -> bool:
    """Whether a process has neither gone nor only its parent's wait left."""
    try:
        return _stat(pid)[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def state_of(pid: int) -> str:
    """Return a process's state as one letter, X when it is gone."""
    try:
        return _stat(pid)[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def parent_of(pid: int) -> int:
    """Return the number of the process that waits for `pid`."""
    return int(_stat(pid)[1])


def status_of(pid: int) -> dict[str, str]:
    """Return the rows of a process's /proc/<pid>/status."""
    rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (row.partition(":") for row in rows)}


def everyone() -> list[int]:
    """Return all processes that this machine shows."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def descendants(ancestor: int) -> list[int]:
    """Return the processes below `ancestor`, zombies included."""
    parents: dict[int, int] = {}
    for pid in everyone():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # gone meanwhile
            parents[pid] = parent_of(pid)
    found = {ancestor}
    while grown := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= grown
    return sorted(found - {ancestor})


def processes(box: Box) -> list[int]:
    """Return the session's processes below its init, which adopts whatever is orphaned."""
    return descendants(init_of(box))


def threads(box: Box) -> int:
    """Return how many threads the session has in all, init's included."""
    total = 0
    for pid in (init_of(box), *processes(box)):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # gone meanwhile
            total += int(_stat(pid)[17])
    return total


def init_of(box: Box) -> int:
    """Return the number of the session's init."""
    return box._init.pid()


def pid_namespace(box: Box) -> str:
    """Return the name of the session's PID namespace, which outlives none of its processes."""
    return _namespace_of(init_of(box)) if init_of(box) > 0 else "gone"


def _namespace_of(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return ""


def inhabitants(namespace: str) -> list[int]:
    """Return all living processes on this machine that are in a PID namespace."""
    return [pid for pid in everyone() if _namespace_of(pid) == namespace and is_alive(pid)]


def resident_bytes(pid: int | None = None) -> int:
    """Return how much memory a process holds now: this one's, in which the sandbox's server side runs."""
    fields = Path(f"/proc/{pid or os.getpid()}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def proportional_bytes(pid: int) -> int:
    """Return a process's memory, a page that n processes share counted as an n-th."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next((int(row.split()[1]) << 10 for row in rows if row.startswith("Pss:")), 0)


def read_file(path: str) -> str:
    """Read a small file of the host's, such as one in /proc: never long, so an async test may call this."""
    return Path(path).read_text()


def mounts_of(box: Box) -> dict[str, set[str]]:
    """Return the session's mount points, each with its options."""
    rows = [row.split() for row in read_file(f"/proc/{init_of(box)}/mountinfo").splitlines()]
    return {row[4]: set(row[5].split(",")) for row in rows}


def open_descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def link_of(pid: int, name: str) -> str:
    """Return where a link in a process's /proc folder points."""
    return str(Path(f"/proc/{pid}/{name}").readlink())


def used_disk(box: Box) -> tuple[int, int]:
    """Return how many bytes and inodes the session's writable tree holds, alive or dead."""
    tree = os.fstatvfs(box._tree)
    return (tree.f_blocks - tree.f_bfree) * tree.f_frsize, tree.f_files - tree.f_ffree


def content_of(box: Box, path: str) -> bytes:
    """Read a file of the living session from outside; `path` is one that the test itself chose."""
    file = os.open(f"workspace/{path}", os.O_RDONLY | os.O_NOFOLLOW, dir_fd=box._tree)
    with os.fdopen(file, "rb") as opened:
        return opened.read()
