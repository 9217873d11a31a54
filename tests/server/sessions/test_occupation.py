"""When a session counts as idle: after as long as it may do nothing, and never while it does something."""

from __future__ import annotations

import trio
import trio.testing

from server.sessions.occupation import Occupation


async def test_the_clock_runs_while_there_is_nothing_to_do(autojump_clock: trio.testing.MockClock) -> None:
    occupation = Occupation(10.0)
    with occupation.idle:
        occupation.watch()
        with occupation:
            await trio.sleep(20)
            occupation.begin()
        await trio.sleep(20)
        occupation.end()
        await trio.sleep(9)
        with occupation:
            occupation.watch()  # it is seeded only now
            await trio.sleep(20)
        await trio.sleep_forever()
    assert 79.0 == autojump_clock.current_time()


async def test_before_it_is_watched_there_is_no_deadline(autojump_clock: trio.testing.MockClock) -> None:
    occupation = Occupation(10.0)
    with trio.move_on_after(50), occupation.idle:
        await trio.sleep_forever()
    assert (50.0, False) == (autojump_clock.current_time(), occupation.idle.cancelled_caught)
