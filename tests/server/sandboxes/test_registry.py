"""Which sandboxes are made, and which are not made after all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from server.errors import NoSandbox
from server.sandboxes.registry import Sandboxes, open_sandboxes
from server.sandboxes.requests import Create
from tests.server.worlds import Counting, open_game


@asynccontextmanager
async def one_place(max_waiting: int = 10) -> AsyncIterator[Sandboxes]:
    async with (
        open_game(Counting(), max_sessions=1) as sessions,
        open_sandboxes(sessions.ground, max_waiting) as sandboxes,
    ):
        yield sandboxes


@pytest.mark.parametrize("name", [None, "a-key"])
async def test_a_sandbox_that_nobody_waits_for_any_more_is_not_made(name: str | None) -> None:
    async with one_place(max_waiting=1) as sandboxes, trio.open_nursery() as nursery:
        first = await sandboxes.create(Create(), "another-key")
        with trio.move_on_after(0.2):
            await sandboxes.create(Create(), name)
        nursery.start_soon(sandboxes.close, first.id)
        with trio.fail_after(20):
            again = await sandboxes.create(Create(), name)
        assert again.failure is None
        await sandboxes.close(again.id)


async def test_a_sandbox_is_made_while_one_of_those_who_asked_is_there() -> None:
    async with one_place() as sandboxes, trio.open_nursery() as nursery:
        first = await sandboxes.create(Create(), None)

        async def hang_up() -> None:
            with trio.move_on_after(0.2):
                await sandboxes.create(Create(), "a-key")
            await sandboxes.close(first.id)

        nursery.start_soon(hang_up)
        with trio.fail_after(20):
            made = await sandboxes.create(Create(), "a-key")
        assert made is await sandboxes.create(Create(), "a-key")


async def test_only_so_many_wait_for_a_place() -> None:
    async with one_place(max_waiting=1) as sandboxes, trio.open_nursery() as nursery:
        await sandboxes.create(Create(), None)
        nursery.start_soon(sandboxes.create, Create(), "in-line")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(NoSandbox, match="1 wait for a place already"):
            await sandboxes.create(Create(), None)
        nursery.cancel_scope.cancel()
