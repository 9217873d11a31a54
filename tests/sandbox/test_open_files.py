"""The soft limit of open files is raised as far as a server needs, and never lowered."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from sandbox import open_files

_ALLOW = """
import resource, sys
from sandbox import open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
open_files.allow(int(sys.argv[3]))
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "sessions", "after"),
    [(256, 2000, 10, 456), (256, 400, 10, 400), (1000, 2000, 10, 1000)],
    ids=["raised to what is needed", "raised to what is allowed", "left as it was"],
)
def test_the_soft_limit_follows_the_sessions(soft: int, hard: int, sessions: int, after: int) -> None:
    arguments = map(str, (soft, hard, sessions))
    told = subprocess.run(
        [sys.executable, "-c", _ALLOW, *arguments], capture_output=True, check=True, text=True
    )
    assert [after, hard] == [int(number) for number in told.stdout.split()]


def test_what_is_needed_and_what_is_possible_agree() -> None:
    assert 512 == open_files.sessions_possible(open_files.needed(512))
    assert 511 == open_files.sessions_possible(open_files.needed(512) - 1)
    assert 1 == open_files.sessions_possible(0)


def test_the_hard_limit_is_the_kernels() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert open_files.hard_limit() == (None if hard == resource.RLIM_INFINITY else hard)
