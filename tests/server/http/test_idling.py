"""Pauses between requests: what ends a connection, and what does not."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial

import attrs
import trio
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import EventWrapper
from trio.testing import MockClock

from server.http.idling import Idleness

SECONDS = 10.0


@attrs.define(eq=False)
class Pauses:
    """A connection as far as its pauses go. It ends when it is closed."""

    task_group: TaskGroup
    terminated: EventWrapper = attrs.field(factory=EventWrapper)
    idleness: Idleness = attrs.field(init=False)
    closed_at: float = math.inf

    def __attrs_post_init__(self) -> None:
        self.idleness = Idleness(SECONDS, self.terminated)

    async def begin(self) -> None:
        await self.idleness.restart(self.task_group, self.close)

    async def close(self) -> None:
        self.closed_at = trio.current_time()


async def closing_after(course: Callable[[Pauses], Awaitable[None]]) -> float:
    """Return when a connection is closed by itself, in seconds from its first pause on."""
    began = trio.current_time()
    task_group = TaskGroup()
    pauses = Pauses(task_group)
    with trio.move_on_after(1000):
        async with task_group:
            await pauses.begin()
            await course(pauses)
    return round(pauses.closed_at - began, 3)


async def busy(pauses: Pauses, seconds: float) -> None:
    await pauses.idleness.stop()
    await trio.sleep(seconds)
    await pauses.begin()


async def requests(pauses: Pauses, *times: tuple[float, float]) -> None:
    for pause, work in times:
        await trio.sleep(pause)
        await busy(pauses, work)


async def terminate(pauses: Pauses, after: float) -> None:
    await trio.sleep(after)
    await pauses.terminated.set()


async def test_a_connection_without_a_request_is_closed_in_time(autojump_clock: MockClock) -> None:
    assert SECONDS == await closing_after(requests)


async def test_each_pause_has_the_whole_time(autojump_clock: MockClock) -> None:
    assert 26 == await closing_after(lambda pauses: requests(pauses, (9, 1), (5, 1)))


async def test_a_long_request_is_no_pause(autojump_clock: MockClock) -> None:
    assert 512 == await closing_after(lambda pauses: requests(pauses, (2, 500)))


async def test_what_has_ended_is_not_closed(autojump_clock: MockClock) -> None:
    async def course(pauses: Pauses) -> None:
        await trio.sleep(1)
        pauses.idleness.end()

    assert math.inf == await closing_after(course)


async def test_an_idle_connection_is_closed_when_the_server_stops(autojump_clock: MockClock) -> None:
    assert 3 == await closing_after(lambda pauses: terminate(pauses, 3))


async def test_a_busy_one_is_closed_after_its_request(autojump_clock: MockClock) -> None:
    async def course(pauses: Pauses) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(requests, pauses), (2, 20))
            nursery.start_soon(terminate, pauses, 3)

    assert 22 == await closing_after(course)


async def test_a_request_at_the_last_moment_is_served(autojump_clock: MockClock) -> None:
    async def course(pauses: Pauses) -> None:
        scope = pauses.idleness._scope
        scope.cancel()  # its time is up, and before its task has heard of it a request comes
        await busy(pauses, 5)

    assert 15 == await closing_after(course)
