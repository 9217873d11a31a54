"""Sessions have a root of their own, or no locks, where the machine does not allow the first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.inside.root import EMPTY, layers_of
from sandbox.interpreter import find_interpreter
from tests.sandbox import deprived
from tests.sandbox.deprived import Without
from tests.sandbox.handlers import value

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.box import Box

MOUNTED_BELOW = "/usr/share/doc"
PATHS = ("/usr", "/usr/bin", "/usr/bin/env")

_PROGRAM = """
import json, sys, trio
from sandbox.launcher import open_launcher
from tests.sandbox.handlers import PROFILE, SMALL, value
ASK = '''
import errno, fcntl, os, sqlite3
def attempt(function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    except sqlite3.Error as error:
        return type(error).__name__
    return "done"
own, other = open("/workspace/own", "w+"), open("/workspace/other", "w+")
result = [attempt(fcntl.lockf, own, fcntl.LOCK_EX | fcntl.LOCK_NB), attempt(fcntl.flock, own, fcntl.LOCK_EX),
    attempt(fcntl.fcntl, other, 37, bytes(32)),
    attempt(sqlite3.connect("/workspace/db").execute, "create table t (x)"),
    attempt(os.listdir, "/usr/share/doc"), open("/proc/self/mountinfo").read().count(" overlay ")]
'''
async def main():
    async with open_launcher(shares_locks="share" in sys.argv) as launcher:
        async with launcher.open_sandbox(PROFILE, SMALL) as box:
            print(json.dumps([box.posture.locks, launcher.why_shared(PROFILE), *await value(box, ASK)]))
trio.run(main)
"""


def test_where_other_mounts_lie_below_a_tree_locks_are_refused_and_the_reason_is_kept() -> None:
    told = deprived.run(Without(hidden=(MOUNTED_BELOW,)), sys.executable, "-P", "-c", _PROGRAM)
    assert 0 == told.returncode, told.stderr
    locks, why, record, whole, of_open_file, sqlite, listing, overlays = json.loads(told.stdout)
    assert ("refused", "EPERM", "ENOSYS", "EPERM") == (locks, record, whole, of_open_file)
    assert "mount overlay on /run/usr: Invalid argument" in why
    assert "OperationalError" == sqlite
    assert ("done", 0) == (listing, overlays)  # the rest is as it was: what lies below is seen


def test_there_locks_of_records_can_be_had_that_others_can_meet() -> None:
    told = deprived.run(Without(hidden=(MOUNTED_BELOW,)), sys.executable, "-P", "-c", _PROGRAM, "share")
    assert 0 == told.returncode, told.stderr
    locks, why, record, whole, of_open_file, sqlite, *_ = json.loads(told.stdout)
    assert ("shared", "done", "ENOSYS", "done", "done") == (locks, record, whole, of_open_file, sqlite)
    assert "Invalid argument" in why


def test_where_nothing_is_taken_away_the_same_program_gets_its_locks() -> None:
    told = deprived.run(Without(), sys.executable, "-P", "-c", _PROGRAM)
    assert 0 == told.returncode, told.stderr
    found: list[Any] = json.loads(told.stdout)
    assert ["own", "", *["done"] * 5] == found[:-1]
    assert found[-1] > 1


_UNMAPPED = """
import os, sys
from sandbox.inside import root
try:
    root.why_not([], os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY), 1000)
except FileNotFoundError as error:
    print(error)
"""


def test_where_ids_cannot_be_mapped_the_attempt_ends_and_says_so(tmp_path: Path) -> None:
    # A folder in which no process can be found stands for a /proc that takes no map.
    told = subprocess.run(
        [sys.executable, "-P", "-c", _UNMAPPED, tmp_path], capture_output=True, timeout=150, check=True
    )
    assert b"setgroups" in told.stdout


async def test_a_tree_looks_like_one_file_system_with_the_hosts_files(box: Box) -> None:
    look = f"""
import os
result = [(found.st_dev, found.st_mode, found.st_size, found.st_mtime_ns) for found in map(os.stat, {PATHS})]
"""
    seen = await value(box, look)
    assert 1 == len({device for device, *_ in seen})
    assert [[f.st_mode, f.st_size, f.st_mtime_ns] for f in map(os.stat, PATHS)] == [rest for _, *rest in seen]


async def test_the_roots_own_folders_are_read_only_and_hold_nothing_of_the_cages(box: Box) -> None:
    look = """
import os
rows = [row.split() for row in open("/proc/self/mountinfo")]
result = [os.listdir("/run"), os.listdir("/tmp"), [row[4] for row in rows if "/run" in row[4]]]
"""
    assert [[], [], []] == await value(box, look)


async def test_the_mount_table_does_not_tell_where_the_interpreter_lives_on_the_host(box: Box) -> None:
    prefix = find_interpreter(None).prefix
    if prefix.startswith("/usr"):
        pytest.skip(f"the interpreter here lives in {prefix}")
    assert prefix not in await value(box, "open('/proc/self/mountinfo').read()")


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        ([], {"": "/tmp/root", "/usr": "/usr", "/opt/python": "/opt/python"}),
        (
            ["/opt/python/lib/packages"],
            {"": "/tmp/root", "/usr": "/usr", "/opt/python": "/tmp/1", "/opt/python/lib/packages": EMPTY},
        ),
        (
            ["/usr/lib/packages"],
            {"": "/tmp/root", "/usr": "/tmp/0", "/opt/python": "/opt/python", "/usr/lib/packages": EMPTY},
        ),
    ],
)
def test_a_tree_with_a_masked_folder_is_taken_from_before_it_was_masked(
    masks: list[str], expected: dict[str, str]
) -> None:
    trees = [{"target": "/usr", "source": "/usr"}, {"target": "/opt/python", "source": "/somewhere"}]
    assert list(expected.items()) == layers_of({"trees": trees, "masks": masks})
