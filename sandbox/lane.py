"""One lane of a live session, from outside: its pipes, its process, the exchange of one call."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import trio

from sandbox.conversation import Conversation, HungUp, Incoherent, Reply, Silence
from sandbox.errors import Busy
from sandbox.limits import Limits
from sandbox.observation import Outcome
from sandbox.output import HeadAndTail
from sandbox.pidfd import HeldProcess
from sandbox.pipes import LanePipes

QUICK_SECONDS = 0.005
"""A call is first waited for without reading its output: most answer at once, and what they print fits the
pipes."""

GRACE_SECONDS = 1.0
"""Between the interrupt at a call's deadline and the kill: long enough to unwind, short enough to wait
for."""


@attrs.frozen
class Exchange:
    """What became of one call.

    Attributes:
        outcome: as far as it can be told from the exchange alone; KILLED when the lane's process ended.
        reply: what the far side said, if it did.
        error: why there is no reply.
        usable: whether the lane may be asked again; if not its process must be killed and replaced.
    """

    outcome: Outcome
    reply: Reply | None
    error: str | None
    usable: bool


@attrs.define(eq=False)
class Lane:
    """A running process of a session and the way to it.

    Attributes:
        name: the kind of tool that it runs.
        process: the process.
        reset_untold: it replaces one whose call was cancelled, so no observation has told of the loss.
    """

    name: str
    _pipes: LanePipes
    process: HeldProcess
    _conversation: Conversation = attrs.field(init=False)
    _in_call: bool = False
    reset_untold: bool = False

    def __attrs_post_init__(self) -> None:
        """Open the conversation over the lane's pipes."""
        self._conversation = Conversation(self._pipes.talk)

    @property
    def is_torn(self) -> bool:
        """Whether an earlier call was cancelled half-way, so that the next question would get its reply."""
        return self._conversation.is_open and not self._in_call

    async def call(self, tool: str, arguments: Mapping[str, Any], limits: Limits, seconds: float) -> Exchange:
        """Ask, keep reading what is printed, and enforce the deadline and the flood bound.

        Raises:
            Busy: a call is in flight on this lane.
            sandbox.frames.FrameError: the arguments are too large. Nothing was sent.
        """
        if self._in_call:
            raise Busy(self.name)
        self._in_call = True
        try:
            for stream in (self._pipes.stdout, self._pipes.stderr):
                stream.begin(limits.output_bytes)
            return await self._exchange(tool, arguments, limits.flood_bytes, trio.current_time() + seconds)
        finally:
            self._in_call = False

    async def _exchange(
        self, tool: str, arguments: Mapping[str, Any], flood: int, deadline: float
    ) -> Exchange:
        try:
            await self._conversation.ask(tool, arguments, deadline)
            return _replied(
                await self._conversation.reply(min(deadline, trio.current_time() + QUICK_SECONDS))
            )
        except (HungUp, Incoherent) as error:
            return _broken(error)
        except Silence:
            pass
        async with trio.open_nursery() as nursery:
            waiting = trio.CancelScope(deadline=deadline)
            for stream in (self._pipes.stdout, self._pipes.stderr):
                nursery.start_soon(stream.pump, flood, waiting.cancel)
            nursery.start_soon(self._watch, waiting.cancel)
            try:
                exchange = await self._wait_or_interrupt(waiting)
            except (HungUp, Incoherent) as error:
                exchange = _broken(error)
            nursery.cancel_scope.cancel()
        return exchange

    async def _watch(self, on_end: Callable[[], None]) -> None:
        # The pipes tell of the end only when every child that inherited them has closed them, too.
        await self.process.wait_ended()
        on_end()

    async def _wait_or_interrupt(self, waiting: trio.CancelScope) -> Exchange:
        """Wait for the reply within `waiting`; when that is over, interrupt and wait for the grace."""
        with waiting:
            return _replied(await self._conversation.reply(math.inf))
        if self.process.has_ended():
            raise HungUp
        is_late = trio.current_time() >= waiting.deadline
        outcome = Outcome.TIMEOUT if is_late else Outcome.OUTPUT_LIMIT
        self.process.send(signal.SIGINT)
        try:
            reply = await self._conversation.reply(trio.current_time() + GRACE_SECONDS)
        except (Silence, HungUp):
            return Exchange(outcome, None, None, usable=False)
        return Exchange(outcome, reply, None, usable=True)

    def collect_output(self) -> tuple[HeadAndTail, HeadAndTail]:
        """Return what the last call printed to stdout and stderr, with what still lies in the pipes."""
        return self._pipes.stdout.collect(), self._pipes.stderr.collect()

    def close(self) -> None:
        """Let go of pipes and process; whoever killed the process has seen it gone."""
        self._pipes.close()
        self.process.close()


def _replied(reply: Reply) -> Exchange:
    return Exchange(Outcome(reply.outcome), reply, reply.error, usable=True)


def _broken(error: HungUp | Incoherent) -> Exchange:
    if isinstance(error, HungUp):
        return Exchange(Outcome.KILLED, None, "the tool's process ended", usable=False)
    return Exchange(Outcome.PROTOCOL_VIOLATION, None, str(error), usable=False)
