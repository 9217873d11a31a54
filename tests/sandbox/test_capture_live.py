"""What is captured of a session that did its worst to its files."""

from __future__ import annotations

import os
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import attrs
import pytest
import trio

from sandbox import capture
from sandbox.capture import MAX_DEPTH, SMALL_INODES
from sandbox.errors import Starved
from tests.sandbox.handlers import PROFILE, SMALL, run, value
from tests.sandbox.kin import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sandbox.launcher import Launcher


HOSTILE = r"""
import os, socket
os.symlink("/etc/passwd", "passwd")
os.symlink("/", "root")
os.symlink("/proc/self/environ", "environ")
os.symlink("/workspace", "around")
os.mkfifo("fifo")
open("one", "w").close(); os.link("one", "two")
listening = socket.socket(socket.AF_UNIX); listening.bind("socket")
with open("sparse", "wb") as file:
    try: file.truncate(1 << 40)
    except OSError: pass
open(b"bad-\xff", "w").close()
os.mkdir("shut"); open("shut/file", "w").write("found"); os.chmod("shut/file", 0); os.chmod("shut", 0)
try: os.link("/etc/hostname", "stolen")
except OSError as error: result = type(error).__name__
open("honest", "w").write("kept")
"""


async def test_a_hostile_tree_of_a_session_is_captured_without_what_it_points_at(launcher: Launcher) -> None:
    async with launcher.open_sandbox(PROFILE) as box:
        assert await value(box, HOSTILE) in ("PermissionError", "OSError")
        final = await box.finish()
    assert {"honest": b"kept", "shut/file": b"found"} == {
        path: file.data for path, file in final.files.items()
    }
    assert {
        "passwd": "symbolic link",
        "root": "symbolic link",
        "environ": "symbolic link",
        "around": "symbolic link",
        "fifo": "FIFO",
        "one": "hard link: the file has more than one name",
        "two": "hard link: the file has more than one name",
        "socket": "socket",
        "sparse": "too large: the final state's bytes are used up",
        "bad-\\xff": "its name is not UTF-8",
    } == {entry.path: entry.reason for entry in final.rejected}


@asynccontextmanager
async def nobody_waits() -> AsyncIterator[None]:
    """See that the event loop always has its turn soon. Its processor time counts: others are busy, too."""
    longest, last = 0.0, time.thread_time()

    async def look() -> None:
        nonlocal longest, last
        while True:
            await trio.sleep(0.001)
            now = time.thread_time()
            longest, last = max(longest, now - last), now

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        yield
        await trio.sleep(0.005)
        nursery.cancel_scope.cancel()
    assert longest < 0.25


LARGE = attrs.evolve(
    SMALL,
    call_seconds=120.0,
    memory_bytes=768 << 20,
    disk_bytes=512 << 20,
    disk_inodes=130_000,
    final_state_bytes=257 << 20,
)
HOLE = 256 << 20


@pytest.mark.parametrize(
    "code",
    [
        f"open('hole', 'wb').truncate({HOLE})",
        "for i in range(120_000): open(f'/tmp/{i}', 'wb').write(b'x' * 4096)\n",
    ],
    ids=["a file that is one large hole", "a hundred thousand files"],
)
async def test_nobody_waits_while_a_session_is_captured_and_cleared_away(
    launcher: Launcher, code: str
) -> None:
    async with nobody_waits(), launcher.open_sandbox(PROFILE, LARGE) as box:
        await value(box, code)
        final = await box.finish()
    assert sum(len(file.data) for file in final.files.values()) in (0, HOLE)


@contextmanager
def no_free_thread(limiter: trio.CapacityLimiter) -> Iterator[None]:
    """Have others hold all that `limiter` gives out."""
    others = [object() for _ in range(int(limiter.available_tokens))]
    for other in others:
        limiter.acquire_on_behalf_of_nowait(other)
    try:
        yield
    finally:
        for other in others:
            limiter.release_on_behalf_of(other)


MANY_FILES = f"for i in range({SMALL_INODES}): open(str(i), 'w').write(str(i))"


async def test_a_capture_does_not_wait_for_threads_of_others(launcher: Launcher) -> None:
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        await value(box, MANY_FILES)
        with no_free_thread(trio.to_thread.current_default_thread_limiter()), trio.fail_after(PATIENCE):
            assert SMALL_INODES == len((await box.finish()).files)


async def test_a_capture_that_gets_no_thread_in_time_is_an_error_and_can_be_tried_again(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        await value(box, MANY_FILES)
        late = pytest.raises(Starved, match=r"no thread became free within 0\.2 s")
        with monkeypatch.context() as impatient:
            impatient.setattr(capture, "CAPTURE_SECONDS", 0.2)
            with no_free_thread(capture._threads()), late:
                await box.finish()
        assert SMALL_INODES == len((await box.finish()).files)


async def test_a_tree_is_let_go_of_without_a_thread_too(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "CAPTURE_SECONDS", 0.2)
    with no_free_thread(capture._threads()):
        async with launcher.open_sandbox(PROFILE, SMALL) as box:
            await value(box, MANY_FILES)
            tree = box._tree
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(tree)


async def test_a_session_cannot_make_what_an_inode_budget_forbids(launcher: Launcher) -> None:
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        made = (
            "n = 0\n"
            "try:\n"
            "  while 1: open(str(n), 'w').close(); n += 1\n"
            "except OSError as error: result = [n, error.errno]"
        )
        count, error = await value(box, made)
        final = await box.finish()
    assert 28 == error  # ENOSPC
    assert count < SMALL.disk_inodes
    assert SMALL.final_state_files == len(final.files)
    assert count - SMALL.final_state_files == len(final.rejected)


async def test_two_thousand_directories_deep_in_a_session(launcher: Launcher) -> None:
    async with launcher.open_sandbox(PROFILE) as box:
        await value(box, "import os\nfor n in range(2000): os.mkdir('d'); os.chdir('d')")
        final = await box.finish()
    assert {} == final.files
    assert [f"deeper than {MAX_DEPTH} directories"] == [entry.reason for entry in final.rejected]


async def test_files_outside_of_the_workspace_are_not_captured(launcher: Launcher) -> None:
    async with launcher.open_sandbox(PROFILE) as box:
        await value(
            box, "open('/tmp/a', 'w').close(); open('/dev/shm/b', 'w').close(); open('c', 'w').close()\n"
        )
        assert ["c"] == list((await box.finish()).files)


async def test_the_workspace_itself_can_be_made_unusable_and_captured_all_the_same(
    launcher: Launcher,
) -> None:
    async with launcher.open_sandbox(PROFILE) as box:
        await value(box, "import os; open('a', 'w').write('x'); os.chmod('/workspace', 0)\n")
        await run(box, "import os, shutil; os.rename('/workspace', '/workspace2')\n")
        assert ["a"] == list((await box.finish()).files)
