"""The sandboxes that verifiers use: what they start from, and how much they may print."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import trio

from sandbox.errors import Gone
from sandbox.frames import FrameError
from sandbox.limits import KIB, Limits
from sandbox.observation import Ending, Observation, Outcome
from sandbox.profile import Handler, Profile
from server.verify.setup import MODULES
from tools.judging import ROLES, SCRIPT

if TYPE_CHECKING:
    from sandbox.box import Box


class OpensSandboxes(Protocol):
    """A `Rollout`, or whatever else opens fresh sandboxes of a verifier's profile."""

    def open_sandbox(self, limits: Limits | None = None) -> AbstractAsyncContextManager[Box]:
        """Open a sandbox in which nothing has run yet."""
        ...


HANDLERS = (
    *(
        Handler(name=name, lane=lane, target=target, streams=streams)
        for name, (lane, target, streams) in ROLES.items()
    ),
    Handler(name="write_bytes", lane=SCRIPT, target="tools.files:write_bytes"),
    Handler(name="put_piece", lane=SCRIPT, target="tools.transfer:put_piece"),
)
"""What every verifier's profile must be able to do."""

LIMITS = Limits(call_seconds=30.0, idle_seconds=120.0, session_seconds=600.0)

VERIFIER = Profile(name="verifier", preload=MODULES, handlers=HANDLERS, limits=LIMITS)
"""What verifiers' sandboxes start from unless an environment brings a profile of its own."""


def limits_for_output(limits: Limits, expected_bytes: int) -> Limits:
    """Return `limits` with room to keep all of an output that should have `expected_bytes`.

    Twice as much and 64 KiB on top: what is longer is wrong, whatever the comparator forgives.
    """
    room = max(limits.output_bytes, 2 * expected_bytes + 64 * KIB)
    return attrs.evolve(limits, output_bytes=room, flood_bytes=max(limits.flood_bytes, 2 * room))


_WALL_TO_CPU = 10.0


def backstop(cpu_seconds: float, wall_seconds: float | None) -> float:
    """Return the wall-clock bound beside a bound of processor time: the one given, or ten times as much.

    Processor time is what a solution is judged by, for it is the same on an idle machine and on one that is
    overloaded ten times over. The wall clock only ends what waits and does not compute.
    """
    return _WALL_TO_CPU * cpu_seconds if wall_seconds is None else wall_seconds


OUT_OF_PROCESSOR_TIME = "out of processor time"

_CPU_MARGIN_SECONDS = 0.2
"""What carrying a call out may take beside the candidate's own work. Clock ticks make up some of it."""

_MARGIN_SECONDS = 5.0
"""What ending a verdict in good order may take; of a shorter time, a quarter."""


def deadline_after(seconds: float) -> float:
    """Return when a suite that may take `seconds` must be over, by Trio's clock.

    Earlier if whoever called gives it less time. A suite that were cut off by its caller would be no verdict,
    and then a slow solution could choose not to be judged; one that ends by itself is a timeout of the
    solution's.
    """
    now, end = trio.current_time(), trio.current_effective_deadline()
    return min(now + seconds, end - min(_MARGIN_SECONDS, (end - now) / 4))


async def ask(
    box: Box, handler: str, arguments: Mapping[str, Any], seconds: float, cpu_seconds: float | None = None
) -> Observation:
    """Call a handler of `box`, with whatever the guest can do to the box itself made an observation too.

    Between two calls the guest may use up its memory or kill its own processes, and its source may be too
    large to send. That is an outcome like others: were it an exception, a solution could choose not to be
    judged.

    Args:
        box: the sandbox.
        handler: what is called.
        arguments: its arguments.
        seconds: how long it may take, wall clock; less if the caller's own deadline is nearer: a candidate
            could let the verdict itself run out of time, and would not be judged.
        cpu_seconds: the processor time that it may take, with all that it starts, as it is seen from outside:
            what stops a process inside can be switched off inside, and counts no second process.

    Raises:
        Gone: the box ended by no doing of the guest's.
    """
    seconds = min(seconds, deadline_after(seconds) - trio.current_time())
    if seconds <= 0:
        return Observation(outcome=Outcome.TIMEOUT, error="the time for the verdict is over")
    before = box.cpu_seconds() if cpu_seconds is not None else 0.0
    try:
        seen = await box.call(handler, arguments, seconds=seconds, is_logged=False)
        if cpu_seconds is None or seen.outcome is not Outcome.OK:
            return seen
        if box.cpu_seconds() - before <= cpu_seconds + _CPU_MARGIN_SECONDS:
            return seen
        return attrs.evolve(seen, outcome=Outcome.TIMEOUT, value=None, error=OUT_OF_PROCESSOR_TIME)
    except Gone as gone:
        if Ending(gone.ending).is_ours:
            raise
        outcome = Outcome.OUT_OF_MEMORY if gone.ending == Ending.OUT_OF_MEMORY else Outcome.KILLED
        return Observation(outcome=outcome, error=str(gone))
    except FrameError as error:
        return Observation(outcome=Outcome.ERROR, error=str(error))
