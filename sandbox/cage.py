"""One cage as the server sees it: its keeper, its zygote, and the sessions that were started in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

import sandbox
from sandbox import packets
from sandbox.errors import Exhausted, Unsupported, WouldNotStart
from sandbox.line import Line
from sandbox.pidfd import HeldProcess

READY_SECONDS = 60.0
"""Building a cage takes 30 ms; preloading a large library from a cold disk can take many seconds."""

START_SECONDS = 120.0
"""Starting a session takes 2 to 5 ms; a machine in trouble is given this long before the cage is given up.
All sessions of the cage are lost then, so it must be longer than what sessions can bring about together."""

STARTING = 16
"""Requests that may wait at one zygote at a time. It forks one after the other, so more would only fill its
socket's queue, and each brings a dozen descriptors, of which the kernel lets only so many be in flight."""

GONE_SECONDS = 600.0
"""How long a killed process tree may take to be reaped: exit tears down its memory and its mounts first.
That is processor time, two seconds for 512 MiB of nothing but page tables, and others compete for it: beside
two busy sessions it took 80. Afterwards the cage is given up with all its sessions, so this must be longer
than what sessions can bring about; a zygote that hangs is noticed earlier, by the next session to start."""

UNBUILT_SECONDS = 30.0
"""The same for a cage that never was ready, in which there is nothing to tear down."""

KILLED_SECONDS = 10.0
"""How long a killed keeper is waited for. One that takes longer hangs in the kernel."""

_BOOTSTRAP = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from sandbox.inside.cage import main; main(*map(int, sys.argv[2:5]))"
)


@attrs.frozen
class Death:
    """How a session's init ended: its exit status (negative: the signal), and the CPU time of all."""

    status: int | None
    cpu_seconds: float


@attrs.define(eq=False)
class Birth:
    """A session that has been asked for, until its init has been reaped."""

    name: str
    started: trio.Event = attrs.field(factory=trio.Event)
    dead: trio.Event = attrs.field(factory=trio.Event)
    shown: trio.Event = attrs.field(factory=trio.Event)
    init: HeldProcess | None = None
    error: str | None = None
    death: Death | None = None


@attrs.define(eq=False)
class Cage:
    """A running zygote. Made by `open_cage`.

    Attributes:
        facts: what the zygote said when it was ready: its Python's version, the Landlock ABI, preload times.
        folder: where its sessions' folders are to be; '' where they have file systems of their own.
        shows_files: whether sessions' files belong to others until `show` was asked for.
        starting: held while a session is being started; those who wait are served in order.
        lost: set once the zygote is gone. Its sessions can be asked nothing any more, and are about to die.
    """

    _line: Line
    facts: dict[str, Any]
    folder: str = ""
    shows_files: bool = False
    lost: trio.Event = attrs.field(factory=trio.Event)
    starting: trio.Semaphore = attrs.field(factory=lambda: trio.Semaphore(STARTING))
    _births: dict[str, Birth] = attrs.field(factory=dict[str, Birth])
    _next: int = 0

    async def start_session(self, request: dict[str, Any], descriptors: list[int]) -> Birth:
        """Have the zygote fork a session; return its record once its init runs.

        The record is without an `init` when this process had no descriptor left to hold it by.

        Not to be cancelled half-way: call it shielded, with a deadline.

        Raises:
            WouldNotStart: the kernel refused, or the cage is lost.
        """
        if self.lost.is_set():
            msg = "the cage is lost"
            raise WouldNotStart(msg)
        self._next += 1
        name = str(self._next)
        birth = self._births[name] = Birth(name)
        try:
            self._line.send({**request, "session": name}, descriptors)
        except OSError as error:
            del self._births[name]
            msg = f"the zygote does not take requests: {error}"
            raise Exhausted(msg) from None
        await birth.started.wait()
        if birth.init is None and birth.error is not None:
            if self.lost.is_set():
                await birth.dead.wait()  # whether it was forked is not known
            self._births.pop(name, None)
            msg = f"the kernel would not fork a session: {birth.error}"
            raise Exhausted(msg)
        return birth

    def show(self, birth: Birth, tree: int) -> None:
        """Have the zygote make the files below `tree`, a session's, look like the server's own from there.

        `birth.shown` is set once it has, or cannot any more. Whether it has shows in the owner of `tree`.

        Raises:
            Exhausted: it does not take requests.
        """
        try:
            self._line.send({"op": "show", "session": birth.name}, [tree])
        except OSError as error:
            msg = f"the zygote does not take requests: {error}"
            raise Exhausted(msg) from None

    async def listen(self) -> None:
        """Take the zygote's reports until it is gone."""
        try:
            while (report := await self._line.receive()) is not None:
                message = report.message
                birth = self._births.get(message.get("session", ""))
                if birth is None:
                    report.discard()
                elif message["op"] == "started":
                    if report.descriptors:
                        birth.init = HeldProcess(report.descriptors[0])
                    birth.started.set()
                elif message["op"] == "failed":
                    birth.error = message["error"]
                    birth.started.set()
                elif message["op"] == "shown":
                    birth.error = message["error"] or None
                    birth.shown.set()
                elif message["op"] == "ended":
                    del self._births[message["session"]]
                    birth.death = Death(message["status"], message["cpu_seconds"])
                    birth.shown.set()
                    birth.dead.set()
        finally:
            self.lost.set()
            for birth in self._births.values():
                birth.error = birth.error or "the cage was lost"
                birth.started.set()
                birth.shown.set()

    def bury(self) -> None:
        """Count every session as dead: the zygote was reaped, and nothing of the cage runs any more."""
        for birth in self._births.values():
            birth.dead.set()

    def close(self) -> None:
        """Hang up: the zygote exits, and its PID namespace with all sessions goes with it."""
        self._line.close()


def _write_plan(plan: dict[str, Any]) -> int:
    descriptor = os.memfd_create("creche-plan", 0)
    with open(descriptor, "w", encoding="utf-8", closefd=False) as file:
        json.dump(plan, file)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


@attrs.frozen
class _Keeper:
    """A keeper's process, our end of the line to its zygote, and the end of a pipe that lets both live."""

    process: trio.Process
    line: Line
    lifeline: int


async def _spawn(plan: dict[str, Any], held: tuple[int, ...]) -> _Keeper:
    top = str(Path(sandbox.__file__).parent.parent)
    with ExitStack() as theirs, ExitStack() as ours:
        try:
            here, there = packets.pair()
            theirs.callback(there.close)
            ours.callback(here.close)
            ends, lifeline = os.pipe2(os.O_CLOEXEC)
            theirs.callback(os.close, ends)
            ours.callback(os.close, lifeline)
            spec = _write_plan(plan)
            theirs.callback(os.close, spec)
            numbers = (spec, there.fileno(), ends)
            process = await trio.lowlevel.open_process(
                [sys.executable, "-I", "-S", "-B", "-c", _BOOTSTRAP, top, *map(str, numbers)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(*numbers, *held),
                env={},
                cwd="/",
                start_new_session=True,  # a Ctrl-C at the terminal is for the server, which then ends this
            )
        except OSError as error:
            msg = f"the keeper could not be spawned: {error}"
            raise Exhausted(msg) from None
        ours.pop_all()
        return _Keeper(process, Line(here), lifeline)


async def _await_ready(line: Line) -> tuple[dict[str, Any], HeldProcess]:
    with trio.move_on_after(READY_SECONDS):
        report = await line.receive()
        if report is None:
            msg = "the keeper or the zygote died while the cage was being built; its stderr says more"
            raise WouldNotStart(msg)
        if report.message["op"] == "failed":
            what = f"{report.message['step']}: {report.message['error']}"
            msg = f"the cage could not be built, at {what}; `creche doctor` names the cause and the remedy"
            raise Unsupported(msg)
        if not report.descriptors:
            msg = "no descriptor left for a cage's process"
            raise Exhausted(msg)
        return report.message, HeldProcess(report.descriptors[0])
    msg = f"the zygote was not ready within {READY_SECONDS:.0f} s"
    raise WouldNotStart(msg)


@asynccontextmanager
async def open_cage(plan: dict[str, Any], held: tuple[int, ...] = ()) -> AsyncGenerator[Cage]:
    """Build a cage and start its zygote; on the way out end it, with every session in it.

    The body must have `Cage.listen` running as a task. Closing hangs up, then waits until the keeper is
    reaped.

    Args:
        plan: what it is made of.
        held: descriptors for the keeper to have for as long as it lives.

    Raises:
        WouldNotStart: it could not be built; the message says at which step. Nothing is left.
    """
    keeper = await _spawn(plan, held)
    cage = zygote = None
    try:
        facts, zygote = await _await_ready(keeper.line)
        cage = Cage(keeper.line, facts, plan["folder"], bool(plan["subordinate"]))
        yield cage
    finally:
        keeper.line.close()
        os.close(keeper.lifeline)
        seconds = UNBUILT_SECONDS if zygote is None else GONE_SECONDS
        with trio.CancelScope(shield=True, deadline=trio.current_time() + seconds + KILLED_SECONDS):
            await _see_gone(keeper.process, zygote, seconds)
        if cage is not None:
            cage.bury()


async def _see_gone(keeper: trio.Process, zygote: HeldProcess | None, seconds: float) -> None:
    """Wait until a keeper, hung up on, has reaped its zygote, and so whatever was in the cage has ended.

    After so many seconds both are killed. To be called shielded.
    """
    with trio.move_on_after(seconds):
        await keeper.wait()
        if zygote is not None:  # which outlives a keeper that somebody has killed
            await zygote.wait_ended()
    if zygote is not None:
        zygote.kill()
        zygote.close()
    if keeper.returncode is None:
        keeper.kill()
        with trio.move_on_after(KILLED_SECONDS):
            await keeper.wait()
