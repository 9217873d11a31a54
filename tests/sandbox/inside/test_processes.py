"""Families of real processes, killed from their parent's place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox.inside.processes import hold, kill_family, snapshot
from tests.sandbox.faults import descriptors_left
from tests.sandbox.kin import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.orphans  # they become this process's children, as they become init's

FAMILY = """
import os, signal, sys, time
told, tell = os.pipe()
def stay():
    os.write(1, b'%d\\n' % os.getpid())
    os.write(tell, b'!')
    time.sleep(60)
    os._exit(0)
"""

KINDS = {
    "a child": "if os.fork() == 0: stay()",
    "a grandchild": "if os.fork() == 0:\n  if os.fork() == 0: stay()\n  time.sleep(60)",
    "an orphan": "if os.fork() == 0:\n  if os.fork() == 0: stay()\n  os._exit(0)\nos.wait()",
    "one with a session of its own": "if os.fork() == 0:\n  os.setsid(); stay()",
    "one that ignores all it can": (
        "if os.fork() == 0:\n  signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); stay()"
    ),
    "one that is stopped": (
        "pid = os.fork()\nif pid == 0: stay()\nos.read(told, 1); os.kill(pid, signal.SIGSTOP)"
    ),
    "one with an odd name": "if os.fork() == 0:\n  open('/proc/self/comm', 'w').write(') R 1 (x'); stay()",
}


def start(kind: str) -> tuple[subprocess.Popen[bytes], int]:
    code = FAMILY + kind + "\nos.write(1, b'0\\n')\ntime.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdout is not None
    numbers = {int(child.stdout.readline()), int(child.stdout.readline())} - {0}
    return child, numbers.pop()


@pytest.fixture(name="stranger")
def _stranger() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child.pid
        assert child.poll() is None
        child.communicate(b"\n")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_family_is_killed_whatever_it_does_and_a_stranger_is_not(kind: str, stranger: int) -> None:
    child, member = start(kind)
    with child:
        assert is_alive(member)
        kill_family(child.pid)
        assert -signal.SIGKILL == child.wait()
    deadline = time.monotonic() + PATIENCE
    while is_alive(member) and time.monotonic() < deadline:
        time.sleep(0.001)
    assert not is_alive(member)
    assert is_alive(stranger)


def test_a_family_that_is_gone_already_is_no_error() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
        kill_family(child.pid)


def test_a_name_full_of_parentheses_does_not_confuse_the_snapshot() -> None:
    child, member = start(KINDS["one with an odd name"])
    with child:
        assert (child.pid, child.pid) == snapshot()[member][:2]
        assert (os.getpid(), child.pid) == snapshot()[child.pid][:2]
        kill_family(child.pid)


def test_a_child_that_cannot_be_held_is_gone_when_that_is_said() -> None:
    child = os.posix_spawn("/bin/sleep", ["sleep", "600"], {})
    with descriptors_left(0), pytest.raises(OSError, match="Too many open files"):
        hold(child)
    with pytest.raises(ChildProcessError):
        os.waitpid(child, 0)
