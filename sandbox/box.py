"""A live sandbox: ask it things, then finish it and take what is left.

Made by `Launcher.open_sandbox`. Its processes belong to it: when the block it was opened in is left, by
whatever road, they are killed and reaped before the block ends.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

import attrs
import trio

from sandbox.cage import GONE_SECONDS, Birth, Cage
from sandbox.call_log import CallLog
from sandbox.capture import capture_workspace, close_tree
from sandbox.cgroups import Group
from sandbox.errors import Gone, Starved
from sandbox.final_state import FinalState, Usage
from sandbox.lane import Exchange, Lane
from sandbox.lane_orders import ORDER_SECONDS, end_lane, start_lane
from sandbox.limits import Limits
from sandbox.line import Line
from sandbox.observation import Ending, Observation, Outcome
from sandbox.pidfd import HeldProcess
from sandbox.posture import Posture
from sandbox.profile import Profile


@attrs.define(eq=False)
class Box:
    """One session's sandbox.

    Attributes:
        limits: the bounds in force.
        posture: the isolation that it was promised. What of that can be seen from outside was compared before
            the first call (`sandbox.posture`).
    """

    limits: Limits
    posture: Posture
    _profile: Profile = attrs.field(alias="profile")
    _cage: Cage = attrs.field(alias="cage")
    _birth: Birth = attrs.field(alias="birth")
    _init: HeldProcess = attrs.field(alias="init")
    _line: Line = attrs.field(alias="line")
    _tree: int = attrs.field(alias="tree")
    _group: Group | None = attrs.field(alias="group")
    _lanes: dict[str, Lane] = attrs.field(alias="lanes")
    _turns: dict[str, trio.Lock] = attrs.field(factory=dict[str, trio.Lock])
    _log: CallLog = attrs.field(init=False)
    _ending: Ending | None = None
    _final: FinalState | None = None
    _finishing: trio.Lock = attrs.field(factory=trio.Lock)
    _out_of_memory_told: int = 0
    _out_of_memory_seen: int = 0
    _lanes_cpu_seconds: float = 0.0

    def __attrs_post_init__(self) -> None:
        """Begin the log."""
        self._log = CallLog(self.limits.log_bytes)

    @property
    def is_log_full(self) -> bool:
        """Whether the log has no room for one more call. A call is possible all the same."""
        return self._log.is_full

    async def call(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        seconds: float | None = None,
        is_logged: bool = True,
    ) -> Observation:
        """Have a handler of the profile run inside, and return what came of it.

        Calls on one lane take turns, in the order in which they came; lanes run side by side.

        Args:
            tool: the handler's name.
            arguments: its arguments (JSON).
            seconds: this call's deadline, in place of `limits.call_seconds`.
            is_logged: whether the final state's log of calls has it; not so for errands of the server itself.

        Raises:
            Gone: the sandbox has ended, or ended during the call by no fault of the guest's.
            Starved: there are no descriptors left for a new lane. Trying again later may succeed.
            KeyError: the profile has no such handler.
            sandbox.frames.FrameError: the arguments are too large. Nothing was sent.

        When it is cancelled, what the call does inside goes on until the next call on that lane, which then
        gets a fresh process.
        """
        handler = next((each for each in self._profile.handlers if each.name == tool), None)
        if handler is None:
            raise KeyError(tool)
        turn = self._turns.setdefault(handler.lane, trio.Lock())
        try:
            turn.acquire_nowait()  # `async with` would cost a turn of the event loop even when nobody waits
        except trio.WouldBlock:
            await turn.acquire()
        within = self.limits.call_seconds if seconds is None else seconds
        try:
            observation = await self._call_on(handler.lane, tool, arguments, within)
        finally:
            turn.release()
        if is_logged:
            self._log.add(tool, arguments, observation)
        return observation

    async def _call_on(
        self, name: str, tool: str, arguments: Mapping[str, Any], seconds: float
    ) -> Observation:
        lane = await self._lane(name)
        exchange = await lane.call(tool, arguments, self.limits, seconds)
        if exchange.usable:
            is_reset, lane.reset_untold = lane.reset_untold, False
            return _observe(lane, exchange, is_reset=is_reset)
        if exchange.outcome is Outcome.PROTOCOL_VIOLATION:
            await self.end(Ending.PROTOCOL_VIOLATION)
            return _observe(lane, exchange)
        return await self._replace(lane, exchange)

    async def _replace(self, lane: Lane, exchange: Exchange) -> Observation:
        """End a lane that cannot be asked again; the next call on it starts a new one."""
        status = await self._end_lane(lane)
        observation = _observe(lane, exchange, is_reset=True)
        lane.close()
        if self._ending is not None and self._ending.is_ours:
            raise Gone(self._ending)
        # A child may have been killed for want of memory earlier: no reason for a lane that exits by itself.
        was_killed = exchange.outcome is Outcome.KILLED and status in (None, -signal.SIGKILL)
        if self._count_out_of_memory() and was_killed:
            error = f"over {self.limits.memory_bytes} bytes of memory"
            return attrs.evolve(observation, outcome=Outcome.OUT_OF_MEMORY, error=error)
        return observation

    async def _lane(self, name: str) -> Lane:
        """Return the running lane, started anew if need be."""
        if self._ending is not None or self._birth.dead.is_set():
            raise Gone(await self.wait_ended())
        lane = self._lanes.get(name)
        if lane is not None and lane.is_torn:
            status = await self._end_lane(lane)
            lane.close()
            if status is None:
                raise Gone(await self.wait_ended())
            lane = await self._start_lane(name)
            lane.reset_untold = True
        return lane or await self._start_lane(name)

    async def _start_lane(self, name: str) -> Lane:
        lane = await start_lane(self._line, name)
        if lane is None:  # the session's own processes have used up its allowance, or init is dead
            await self.end()
            raise Gone(await self.wait_ended())
        self._lanes[name] = lane
        return lane

    async def _end_lane(self, lane: Lane) -> int | None:
        """End the lane's processes and return its status; None when the box had to be ended for it."""
        end = await end_lane(self._line, lane.name)
        self._lanes.pop(lane.name, None)
        if end is None:
            await self.end()
            return None
        self._out_of_memory_told = end.out_of_memory
        return end.status

    def _count_out_of_memory(self) -> bool:
        """Whether the kernel, or init's watchdog, killed something for want of memory since the last look."""
        kills = self._group.out_of_memory_kills() if self._group else self._out_of_memory_told
        before, self._out_of_memory_seen = self._out_of_memory_seen, kills
        return kills > before

    async def end(self, ending: Ending | None = None) -> None:
        """Kill every process of the session and wait until they are reaped.

        The first ending given is the one that counts; without any it is found out what ended the box.
        Shielded; waits at most `GONE_SECONDS`, after which the whole cage is given up.
        """
        self._ending = self._ending or (self._unasked_ending() if self._is_dying() else ending)
        with trio.CancelScope(shield=True, deadline=trio.current_time() + GONE_SECONDS):
            # What dies with its PID namespace is reaped by the kernel, which adds its times to nobody's.
            self._lanes_cpu_seconds += sum(lane.process.cpu_seconds() for lane in self._lanes.values())
            self._init.kill()
            if self._group is not None:
                self._group.kill()
            await self._birth.dead.wait()
            self._ending = self._ending or self._unasked_ending()
            return
        self._ending = self._ending or Ending.KILLED
        self._cage.close()

    def _unasked_ending(self) -> Ending:
        if self._cage.lost.is_set():
            return Ending.CAGE_LOST
        return Ending.OUT_OF_MEMORY if self._count_out_of_memory() else Ending.KILLED

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or is being ended."""
        return self._ending is not None or self._is_dying()

    def _is_dying(self) -> bool:
        return self._birth.dead.is_set() or self._cage.lost.is_set()

    async def wait_ended(self) -> Ending:
        """Wait until the sandbox has ended by whatever road, and return which."""
        await self._birth.dead.wait()
        if self._ending is None:
            self._ending = self._unasked_ending()
        return self._ending

    def cpu_seconds(self) -> float:
        """Return the processor time that it has used so far, as far as it is seen: see `Usage`."""
        counted = self._group.cpu_seconds() if self._group else None
        if counted is not None:
            return counted
        return self._lanes_cpu_seconds + sum(lane.process.cpu_seconds() for lane in self._lanes.values())

    async def finish(self, ending: Ending = Ending.FINISHED) -> FinalState:
        """Kill, wait until everything is reaped, then capture what is left. Later calls return the same.

        Args:
            ending: the road to note, unless the sandbox has ended by another already.

        Raises:
            Gone: the block that the sandbox was opened in was left before.
            Starved: there are no descriptors, no memory or no thread to capture with, or its processes are
                not gone in time. The box is dead or dying, and finishing it may succeed later.
        """
        async with self._finishing:
            if self._final is not None:
                return self._final
            if self._tree < 0:
                raise Gone(await self.wait_ended())
            await self.end(ending)  # shielded, as the capture is, and each with a deadline
            self._final = await self._capture(self._ending or ending)
            return self._final

    async def _capture(self, ending: Ending) -> FinalState:
        if not self._birth.dead.is_set():
            msg = f"the processes of the session were not gone within {GONE_SECONDS:.0f} s"
            raise Starved(msg)
        try:
            files, rejected = await capture_workspace(self._tree, self.limits)
        except OSError as error:
            msg = f"the final state could not be captured: {error}"
            raise Starved(msg) from None
        return FinalState(
            files=files,
            rejected=rejected,
            ended_by=ending,
            calls=tuple(self._log.records),
            log_bytes=self._log.size,
            usage=Usage(
                cpu_seconds=self._cpu_seconds(),
                peak_memory_bytes=self._group.peak_memory_bytes() if self._group else None,
            ),
        )

    def _cpu_seconds(self) -> float:
        counted = self._group.cpu_seconds() if self._group else None
        if counted is not None:
            return counted
        death = self._birth.death
        return self._lanes_cpu_seconds + (death.cpu_seconds if death else 0.0)

    async def aclose(self) -> None:
        """End it if it lives, and let go of everything of it. Shielded, with deadlines."""
        await self.end(Ending.CLOSED)
        with trio.CancelScope(shield=True, deadline=trio.current_time() + ORDER_SECONDS):
            for turn in list(self._turns.values()):
                async with turn:  # a call of another task has noticed the end by then
                    pass
        for lane in self._lanes.values():
            lane.close()
        self._lanes.clear()
        self._line.close()
        self._init.close()
        tree, self._tree = self._tree, -1
        await close_tree(tree)


def _observe(lane: Lane, exchange: Exchange, *, is_reset: bool = False) -> Observation:
    stdout, stderr = lane.collect_output()
    reply = exchange.reply
    return Observation(
        outcome=exchange.outcome,
        value=None if reply is None else reply.value,
        error=exchange.error,
        stdout=stdout.text(),
        stderr=stderr.text(),
        truncated=tuple(name for name, kept in (("stdout", stdout), ("stderr", stderr)) if kept.is_truncated),
        interpreter_reset=is_reset,
    )
