from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from sandbox import packets
from sandbox.line import Line
from tests.sandbox.faults import open_descriptors

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator


@pytest.fixture(name="ends")
def _ends() -> Iterator[tuple[Line, socket.socket]]:
    ours, theirs = packets.pair()
    yield Line(ours), theirs
    theirs.close()
    ours.close()


async def test_the_far_sides_end_ends_every_wait(ends: tuple[Line, socket.socket]) -> None:
    line, far = ends
    ended: list[object] = []

    async def wait(lane: str) -> None:
        ended.append(await line.wait_for(("ended",), lane))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, "a")
        nursery.start_soon(wait, "b")
        await wait_all_tasks_blocked()
        far.close()
    assert [None, None] == ended
    line.send({"op": "kill"})  # nobody is there any more, which is not the sender's business
    line.close()


async def test_our_own_end_ends_a_wait(ends: tuple[Line, socket.socket]) -> None:
    line, _ = ends
    async with trio.open_nursery() as nursery:
        ended: list[object] = []

        async def wait() -> None:
            ended.append(await line.receive())

        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        line.close()
    line.close()
    assert [None] == ended


@pytest.mark.parametrize("_", range(20))  # whether who receives or who closes runs first is Trio's dice
async def test_hanging_up_in_the_tick_in_which_a_report_came_is_no_error(
    ends: tuple[Line, socket.socket], _: int
) -> None:
    line, far = ends
    ended: list[object] = []

    async def wait() -> None:
        report = await line.receive()
        ended.append(report and report.message)

    near, other = packets.pair()
    with near, other:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            packets.send(far, {"op": "ended"})
            packets.send(other, {})
            await trio.lowlevel.wait_readable(near)
            line.close()
    assert ended in ([None], [{"op": "ended"}])


async def test_a_report_for_another_is_kept_for_it(ends: tuple[Line, socket.socket]) -> None:
    line, far = ends
    got: dict[str, object] = {}

    async def wait(lane: str) -> None:
        report = await line.wait_for(("started", "refused"), lane)
        got[lane] = report and report.message

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, "a")
        await wait_all_tasks_blocked()
        nursery.start_soon(wait, "b")
        await wait_all_tasks_blocked()
        packets.send(far, {"op": "failed"})
        packets.send(far, {"op": "ended", "lane": "a"})
        packets.send(far, {"op": "refused", "lane": "b"})
        packets.send(far, {"op": "started", "lane": "a"})
    assert {"a": {"op": "started", "lane": "a"}, "b": {"op": "refused", "lane": "b"}} == got
    assert line.kept("failed", None) is not None
    assert line.kept("failed", None) is None
    assert (await line.wait_for(("ended",), "a")) is not None
    line.close()


async def test_a_report_that_came_before_the_end_is_still_given_out(ends: tuple[Line, socket.socket]) -> None:
    line, far = ends
    packets.send(far, {"op": "ended", "lane": "a"})
    far.close()
    assert await line.wait_for(("started",), "b") is None
    assert await line.wait_for(("ended",), "a") is not None
    line.close()


async def test_a_cancelled_wait_loses_nothing(ends: tuple[Line, socket.socket]) -> None:
    line, far = ends
    with trio.move_on_after(0.01):
        await line.wait_for(("ended",), "a")
    packets.send(far, {"op": "ended", "lane": "a"})
    assert await line.wait_for(("ended",), "a") is not None
    line.close()


async def test_descriptors_of_reports_that_nobody_wanted_are_closed(ends: tuple[Line, socket.socket]) -> None:
    line, far = ends
    before = len(open_descriptors())
    packets.send(far, {"op": "started", "lane": "a"}, [0])
    packets.send(far, {"op": "ended", "lane": "b"})
    assert await line.wait_for(("ended",), "b") is not None
    assert before + 1 == len(open_descriptors())
    line.close()
    assert before - 1 == len(open_descriptors())
