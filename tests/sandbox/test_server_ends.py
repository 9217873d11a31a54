"""How the server's own process ends, and that no session outlives it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from sandbox.launcher import open_launcher
from tests import leaks
from tests.sandbox.handlers import PROFILE, SMALL, value
from tests.sandbox.kin import is_alive, parent, wait_gone

SERVER = """
import signal
import trio
from sandbox.launcher import open_launcher
from tests.sandbox.handlers import PROFILE, SMALL, run

DAEMON = '''
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
os.wait()
'''

async def session(launcher, told):
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        await run(box, DAEMON)
        told.append(box._init.pid())
        await run(box, "while True: pass", seconds=600)

async def main():
    told = []
    async with open_launcher() as launcher, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(session, launcher, told)
        while len(told) < 3:
            await trio.sleep(0.01)
        print(*told, flush=True)

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs these tests may ignore it
trio.run(main)
"""


@pytest.mark.orphans
def test_a_server_killed_by_sigkill_leaves_no_process_and_the_next_one_sweeps_its_groups() -> None:
    before = leaks.take()
    with subprocess.Popen([sys.executable, "-P", "-c", SERVER], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        inits = [int(pid) for pid in server.stdout.readline().split()]
        assert 3 == len(inits)
        zygote = parent(inits[0])
        inside = [
            int(pid)
            for init in inits
            for pid in Path(f"/proc/{init}/task/{init}/children").read_text().split()
        ]
        assert 6 == len(inside)  # a lane and a daemon in each
        everything = [*inits, *inside, zygote, parent(zygote)]
        assert all(is_alive(pid) for pid in everything)
        server.kill()
    trio.run(lambda: wait_gone(*everything))
    assert set() == leaks.take().mounts - before.mounts

    async def start_the_next() -> None:
        async with open_launcher() as launcher:
            groups = launcher._control_groups
            parents = {folder.parent for folder in groups._parents.values()}
            assert not [left for folder in parents for left in folder.glob(f"creche-{server.pid}-*")]
            async with launcher.open_sandbox(PROFILE, SMALL) as box:
                assert 2 == await value(box, "1 + 1")

    trio.run(start_the_next)


HANGING = """
import attrs, trio
from sandbox.launcher import open_launcher
from sandbox.profile import Handler
from tests.sandbox.handlers import PROFILE
from tests.sandbox.tiers import descendants

async def main():
    hanging = Handler(name="a", lane="b", target="x:f", source="import time\\nwhile True: time.sleep(600)")
    async with open_launcher() as launcher, trio.open_nursery() as nursery:
        nursery.start_soon(launcher.warm, attrs.evolve(PROFILE, handlers=(hanging,)))
        while len(found := descendants(__import__("os").getpid())) < 2:
            await trio.sleep(0.01)
        print(*found, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


@pytest.mark.orphans
def test_a_server_killed_while_a_zygote_hangs_leaves_no_process() -> None:
    with subprocess.Popen([sys.executable, "-P", "-c", HANGING], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        keeper_and_zygote = [int(pid) for pid in server.stdout.readline().split()]
        assert 2 == len(keeper_and_zygote)
        server.kill()
    trio.run(lambda: wait_gone(*keeper_and_zygote))
    trio.run(_sweep)


async def _sweep() -> None:
    async with open_launcher():
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.orphans
def test_a_server_ended_by_another_signal_leaves_nothing_either(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-P", "-c", SERVER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        assert server.stdout is not None
        inits = [int(pid) for pid in server.stdout.readline().split()]
        zygote = parent(inits[0])
        everything = [*inits, zygote, parent(zygote)]
        server.send_signal(number)
    trio.run(lambda: wait_gone(*everything))
    trio.run(_sweep)
