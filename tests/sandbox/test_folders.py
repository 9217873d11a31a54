"""Folders of cages and sessions: they go, whoever else removes them at the same time."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import trio

from sandbox.folders import name_folder, open_cage_folder, open_session_folder

SESSIONS = 12
FILES = 300


async def test_a_cage_that_is_lost_and_its_sessions_remove_their_folders_at_the_same_time() -> None:
    cage = name_folder()
    opened = [AsyncExitStack() for _ in range(1 + SESSIONS)]
    await opened[0].enter_async_context(open_cage_folder(cage))
    for each in opened[1:]:
        fill(await each.enter_async_context(open_session_folder(cage, None)))
    async with trio.open_nursery() as nursery:
        for each in opened:
            nursery.start_soon(each.aclose)
    assert not is_there(cage)


def fill(folder: str) -> None:
    for number in range(FILES):
        Path(folder, "workspace", str(number)).mkdir()


def is_there(path: str) -> bool:
    return Path(path).exists()
