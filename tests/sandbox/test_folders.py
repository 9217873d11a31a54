"""Folders of cages and sessions: they go, whoever else removes them at the same time."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import trio

from sandbox.folders import name_folder, open_cage_folder, open_session_folder

SESSIONS = 12
FILES = 300


async def test_a_cage_that_is_lost_and_its_sessions_remove_their_folders_at_the_same_time() -> None:
    cage = name_folder()
    async with trio.open_nursery() as nursery:
        leave = trio.Event()
        await nursery.start(_hold, open_cage_folder(cage), leave)
        for _ in range(SESSIONS):
            folder: str = await nursery.start(_hold, open_session_folder(cage, None), leave)
            fill(folder)
        leave.set()
    assert not is_there(cage)


def fill(folder: str) -> None:
    for number in range(FILES):
        Path(folder, "workspace", str(number)).mkdir()


def is_there(path: str) -> bool:
    return Path(path).exists()


async def _hold(
    folder: AbstractAsyncContextManager[Any], leave: trio.Event, *, task_status: trio.TaskStatus[Any]
) -> None:
    async with folder as held:
        task_status.started(held)
        await leave.wait()
