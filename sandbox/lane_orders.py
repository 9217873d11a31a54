"""Having a session's init start and end lanes: two orders, each with its report and a deadline."""

from __future__ import annotations

from contextlib import ExitStack

import attrs
import trio

from sandbox.errors import Starved
from sandbox.lane import Lane
from sandbox.line import Line
from sandbox.pidfd import HeldProcess
from sandbox.pipes import open_lane_pipes

ORDER_SECONDS = 30.0
"""How long init may take to start or end a lane: it only forks or kills. After that the session is to be
ended."""


@attrs.frozen
class LaneEnd:
    """How a lane ended.

    Attributes:
        status: its process's exit status, negative for a signal.
        out_of_memory: how often init's watchdog has killed something of the session for want of memory, ever.
    """

    status: int
    out_of_memory: int


async def start_lane(line: Line, name: str) -> Lane | None:
    """Have init fork a lane. None when it could not, or did not say so in time: the session is beyond use.

    Shielded, with `ORDER_SECONDS` as its deadline.

    Raises:
        Starved: there are no descriptors for it, here or on the way. The session goes on without the lane.
    """
    with ExitStack() as on_failure:
        try:
            pipes = open_lane_pipes()
            on_failure.callback(pipes.close)
            line.send({"op": "start", "lane": name}, pipes.far)
        except OSError as error:
            msg = f"no descriptors left for a lane: {error}"
            raise Starved(msg) from None
        pipes.close_far()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + ORDER_SECONDS):
            report = await line.wait_for(("started", "refused"), name)
            if report is None or report.message["op"] == "refused":
                return None
            if report.descriptors:
                on_failure.pop_all()
                return Lane(name, pipes, HeldProcess(report.descriptors[0]))
            if await end_lane(line, name) is not None:
                msg = "no descriptor left for a lane's process"
                raise Starved(msg)
    return None


async def end_lane(line: Line, name: str) -> LaneEnd | None:
    """Have init kill the lane's processes; return how its own ended once that is reaped.

    None when it took no order, or that did not happen within `ORDER_SECONDS`: the session is to be ended.
    Shielded.
    """
    with trio.CancelScope(shield=True, deadline=trio.current_time() + ORDER_SECONDS):
        try:
            line.send({"op": "kill", "lane": name})
        except OSError:
            return None
        report = await line.wait_for(("ended",), name)
        if report is not None:
            return LaneEnd(report.message["status"], report.message["out_of_memory"])
    return None
