from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from sandbox.pidfd import HeldProcess
from tests.sandbox.kin import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(name="child")
def _child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child


async def test_a_process_that_is_gone_takes_no_signal_and_has_no_pid(child: subprocess.Popen[bytes]) -> None:
    await trio.lowlevel.checkpoint()
    held = HeldProcess(os.pidfd_open(child.pid))
    child.communicate(b"\n")
    held.kill()
    assert held.pid() <= 0
    assert held.has_ended()
    assert 0 == held.cpu_seconds()
    held.close()


async def test_a_dead_process_that_nobody_waited_for_has_ended(child: subprocess.Popen[bytes]) -> None:
    await trio.lowlevel.checkpoint()
    held = HeldProcess(os.pidfd_open(child.pid))
    assert not held.has_ended()
    held.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - it is dead already
    assert held.has_ended()
    held.send(signal.SIGINT)
    held.close()
    held.close()


async def test_a_living_one_is_named_and_signalled(child: subprocess.Popen[bytes]) -> None:
    await trio.lowlevel.checkpoint()
    held = HeldProcess(os.pidfd_open(child.pid))
    assert child.pid == held.pid()
    held.send(signal.SIGTERM)
    assert -signal.SIGTERM == child.wait()
    held.close()


async def test_its_end_can_be_waited_for(child: subprocess.Popen[bytes]) -> None:
    held = HeldProcess(os.pidfd_open(child.pid))
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(held.wait_ended)
            await wait_all_tasks_blocked()
            held.kill()
        await held.wait_ended()
    held.close()


async def test_letting_go_ends_the_wait(child: subprocess.Popen[bytes]) -> None:
    held = HeldProcess(os.pidfd_open(child.pid))
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(held.wait_ended)
            await wait_all_tasks_blocked()
            held.close()
    assert held.has_ended()
