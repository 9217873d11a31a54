"""Having a session's init start and end lanes: two orders, each with its report and a deadline."""

from __future__ import annotations

import attrs
import trio

from sandbox.errors import Exhausted
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
        Exhausted: this process has no descriptors for it. The session goes on without the lane.
    """
    try:
        pipes = open_lane_pipes()
    except OSError as error:
        msg = f"no descriptors left for a lane: {error}"
        raise Exhausted(msg) from None
    try:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + ORDER_SECONDS):
            line.send({"op": "start", "lane": name}, pipes.far)
            pipes.close_far()
            report = await line.wait_for(("started", "refused"), name)
            if report is not None and report.message["op"] == "started":
                if report.descriptors:
                    return Lane(name, pipes, HeldProcess(report.descriptors[0]))
                line.send({"op": "kill", "lane": name})
                await line.wait_for(("ended",), name)
                msg = "no descriptor left for a lane's process"
                raise Exhausted(msg)  # noqa: TRY301 - the pipes must be closed on this road, too
    except BaseException:
        pipes.close()
        raise
    pipes.close()
    return None


async def end_lane(line: Line, lane: Lane) -> LaneEnd | None:
    """Have init kill the lane's processes; return how its own ended once that is reaped.

    None when that did not happen within `ORDER_SECONDS`: the session is to be ended. Shielded.
    """
    with trio.CancelScope(shield=True, deadline=trio.current_time() + ORDER_SECONDS):
        line.send({"op": "kill", "lane": lane.name})
        report = await line.wait_for(("ended",), lane.name)
        if report is not None:
            return LaneEnd(report.message["status"], report.message["out_of_memory"])
    return None
