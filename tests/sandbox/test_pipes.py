"""The stream over a lane's pipes, beside Trio's own rules for streams."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio
import trio.testing

from sandbox.pipes import LaneStream, open_lane_pipes


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def make_pair() -> tuple[LaneStream, LaneStream]:
    """Return two streams, each of which receives what the other sends."""
    (left_out, left_in), (right_out, right_in) = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
    return LaneStream(left_in, right_out), LaneStream(right_in, left_out)


async def test_more_than_a_pipe_holds_arrives_whole() -> None:
    data = bytes(range(256)) * 4096
    left, right = await make_pair()
    received = bytearray()
    async with left, right, trio.open_nursery() as nursery:
        nursery.start_soon(left.send_all, data)
        while len(received) < len(data):
            received += await right.receive_some(100_000)
    assert data == received


async def test_a_far_side_that_is_gone_breaks_sending_and_ends_receiving() -> None:
    left, right = await make_pair()
    await right.aclose()
    assert b"" == await left.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        await left.send_all(b"x")
    await left.aclose()


async def test_a_stream_closed_on_our_side_says_so() -> None:
    left, right = await make_pair()
    await left.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await left.send_all(b"x")
    with pytest.raises(trio.ClosedResourceError):
        await left.receive_some()
    await right.aclose()


async def test_closing_wakes_who_receives() -> None:
    left, right = await make_pair()
    async with right, trio.open_nursery() as nursery:

        async def receive() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await left.receive_some()

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        left.close()


async def test_a_lanes_pipes_are_eight_descriptors_and_closing_leaves_none() -> None:
    before = descriptors()
    pipes = open_lane_pipes()
    assert before + 8 == descriptors()
    pipes.close()
    assert before == descriptors()
