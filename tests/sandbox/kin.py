"""A sandbox as the host sees it: who lives, who is whose parent, which file has appeared."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from sandbox.box import Box


PATIENCE = 60.0
"""Seconds after which what is waited for hangs: no machine is so busy."""


def is_alive(pid: int) -> bool:
    """Whether a process has neither gone nor only its parent's wait left."""
    try:
        return _stat(pid)[0] not in (b"Z", b"X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_stopped(pid: int) -> bool:
    return _stat(pid)[0] == b"T"


def parent(pid: int) -> int:
    return int(_stat(pid)[1])


def _stat(pid: int) -> list[bytes]:
    """Return the fields behind the command's name, which may hold anything: state, parent and so on."""
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()


def zygote_of(box: Box) -> int:
    return parent(box._init.pid())


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def wait_gone(*pids: int) -> None:
    with trio.fail_after(PATIENCE):
        while any(is_alive(pid) for pid in pids):  # noqa: ASYNC110 - other processes set no event of ours
            await trio.sleep(0.002)


async def wait_asleep(pid: int) -> None:
    with trio.fail_after(PATIENCE):
        while _stat(pid)[0] != b"S":  # noqa: ASYNC110 - other processes set no event of ours
            await trio.sleep(0.002)


BUSY = "import time; open('begun', 'w').close(); time.sleep(30)\n"
"""A call of which `wait_for_file(box, "begun")` tells that it is under way."""


async def wait_for_file(box: Box, name: str) -> None:
    """Return once the session has a file of this name in its workspace."""
    with trio.fail_after(PATIENCE):
        while not _exists(box, name):  # noqa: ASYNC110 - other processes set no event of ours
            await trio.sleep(0.002)


def _exists(box: Box, name: str) -> bool:
    try:
        os.stat(f"workspace/{name}", dir_fd=box._tree, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
