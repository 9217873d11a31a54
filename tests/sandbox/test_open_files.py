"""The soft limit of open files is raised as far as a server needs, and never lowered."""

from __future__ import annotations

import resource
import subprocess
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import attrs
import pytest

from sandbox import open_files
from tests.sandbox.faults import open_descriptors
from tests.sandbox.handlers import PROFILE, SMALL, handler

if TYPE_CHECKING:
    from sandbox.launcher import Launcher

_ALLOW = """
import resource, sys
from sandbox import open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
open_files.allow(int(sys.argv[3]))
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "sessions", "after"),
    [(256, 9000, 300, 6256), (256, 400, 10, 400), (5000, 9000, 10, 5000), (1024, 9000, 10, 4096)],
    ids=["raised to what is needed", "raised to what is allowed", "left as it was", "raised above guests'"],
)
def test_the_soft_limit_follows_the_sessions(soft: int, hard: int, sessions: int, after: int) -> None:
    arguments = map(str, (soft, hard, sessions))
    told = subprocess.run(
        [sys.executable, "-c", _ALLOW, *arguments], capture_output=True, check=True, text=True
    )
    assert [after, hard] == [int(number) for number in told.stdout.split()]


def test_what_is_needed_and_what_is_possible_agree() -> None:
    for lanes in (1, 3, 6):
        assert 512 == open_files.sessions_possible(open_files.needed(512, lanes), lanes)
        assert 511 == open_files.sessions_possible(open_files.needed(512, lanes) - 1, lanes)
    assert 1 == open_files.sessions_possible(0)


def test_the_hard_limit_is_the_kernels() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert open_files.hard_limit() == (None if hard == resource.RLIM_INFINITY else hard)


@pytest.mark.parametrize("lanes", [1, 6])
async def test_a_session_opens_no_more_than_is_reckoned_with(launcher: Launcher, lanes: int) -> None:
    handlers = tuple(handler(f"run{lane}", f"lane{lane}") for lane in range(lanes))
    profile = attrs.evolve(PROFILE, handlers=handlers)
    await launcher.warm(profile)
    before, sessions = len(open_descriptors()), 3
    async with AsyncExitStack() as stack:
        for _ in range(sessions):
            box = await stack.enter_async_context(launcher.open_sandbox(profile, SMALL))
            for each in handlers:
                await box.call(each.name, {"code": "1"})
        # A connection, and one for what is opened now and then, are not seen here.
        each_session = open_files.needed(1, lanes) - open_files.needed(0, lanes)
        assert each_session - 2 == (len(open_descriptors()) - before) / sessions
