"""What the watchdog adds up, asked inside of a real session, where it sees nothing but that session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sandbox.handlers import run, value

if TYPE_CHECKING:
    from sandbox.box import Box

LOOK = """
import os
from sandbox.inside import watchdog
from sandbox.inside.processes import below, snapshot
from sandbox.inside.watchdog import Watchdog
def members(): return below([os.getpid()], snapshot())
def dog(most): return Watchdog(most, watchdog.memory_of_files)
def total(): return sum(watchdog._sizes(members()).values()) + watchdog.memory_of_files()
before = total()
"""


@pytest.fixture(name="box")
async def _box_that_looks(box: Box) -> Box:
    assert (await run(box, LOOK)).outcome == "ok"
    return box


async def test_memory_that_was_touched_counts_and_what_was_only_reserved_does_not(box: Box) -> None:
    private = "mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS"
    await value(box, f"import mmap; memory = mmap.mmap(-1, 32 << 20, flags={private})\n")
    assert abs(await value(box, "total() - before")) < 4 << 20
    assert 32 << 20 == await value(box, "memory.write(bytes(32 << 20))")
    assert 28 << 20 < await value(box, "total() - before") < 40 << 20


async def test_files_count(box: Box) -> None:
    await run(box, "open('/tmp/a', 'wb').write(bytes(8 << 20))")
    assert 7 << 20 < await value(box, "total() - before") < 12 << 20


async def test_what_is_shared_with_children_counts_once(box: Box) -> None:
    share = """
import os, time
hoard = bytearray(b'x') * (16 << 20)
alone = total()
children = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    children.append(pid)
result = total() - alone
for pid in children: os.kill(pid, 9); os.waitpid(pid, 0)
"""
    assert await value(box, share) < 12 << 20


async def test_one_that_hides_its_proportional_size_counts_all_the_same(box: Box) -> None:
    hide = """
import ctypes, os, time
reading, writing = os.pipe()
pid = os.fork()
if pid == 0:
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # not dumpable
    hoard = bytearray(b'x') * (16 << 20)
    os.write(writing, b'!')
    time.sleep(60)
    os._exit(0)
os.read(reading, 1)
result = total() - before
os.kill(pid, 9)
os.waitpid(pid, 0)
"""
    assert await value(box, hide) > 14 << 20


async def test_the_bound_is_a_bound(box: Box) -> None:
    looks = "[dog(total() * 2).is_exceeded(members), dog(total() // 2).is_exceeded(members)]"
    assert [False, True] == await value(box, looks)


async def test_the_largest_is_killed_and_never_the_one_to_spare(box: Box) -> None:
    kill = """
import os, signal, time
children = []
for size in (1, 24, 4):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        hoard = bytearray(b'x') * (size << 20)
        os.write(writing, b'!')
        time.sleep(60)
        os._exit(0)
    os.read(reading, 1)
    children.append(pid)
watching = dog(1)
watching.is_exceeded(members)
watching.kill_largest(spare=1)
killed, status = os.wait()
result = [children.index(killed), status]
for pid in (children[0], children[2]): os.kill(pid, 9)
"""
    assert [1, 9] == await value(box, kill)
