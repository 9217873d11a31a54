"""Every way in which a sandbox can end. After each the leak check of `tests.conftest` finds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from sandbox.errors import Gone
from sandbox.launcher import Launcher, open_launcher
from sandbox.observation import Ending, Outcome
from tests.sandbox.handlers import PROFILE, SMALL, run, value

if TYPE_CHECKING:
    from sandbox.box import Box


def is_alive(pid: int) -> bool:
    """Whether a process has neither gone nor only its parent's wait left."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])


def zygote_of(box: Box) -> int:
    return parent(box._init.pid())


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def wait_gone(*pids: int) -> None:
    with trio.fail_after(5):
        while any(is_alive(pid) for pid in pids):  # noqa: ASYNC110 - other processes set no event of ours
            await trio.sleep(0.002)


# How a lane ends.


@pytest.mark.parametrize(
    "code",
    [
        "import os; os._exit(0)\n",
        "import os; os._exit(1)\n",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n",
        "import ctypes; ctypes.string_at(0)\n",
        "import os; os.abort()\n",
        "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_DFL); os.kill(0, signal.SIGTERM)\n",
        "import os; os.execv('/bin/true', ['true'])\n",
        "import os; os.close(4); import time; time.sleep(60)\n",
    ],
)
async def test_a_lane_that_ends_itself_is_killed_and_replaced(box: Box, code: str) -> None:
    await run(box, "lost = 1; open('kept', 'w').close(); print('before')\n")
    started = time.monotonic()
    observation = await run(box, "print('last words', flush=True)\n" + code)
    assert time.monotonic() - started < 2
    assert (Outcome.KILLED, "the tool's process ended") == (observation.outcome, observation.error)
    assert observation.interpreter_reset
    assert "last words\n" == observation.stdout
    after = await run(box, "['lost' in globals(), __import__('os').listdir()]")
    assert (Outcome.OK, [False, ["kept"]], False) == (after.outcome, after.value, after.interpreter_reset)


async def test_a_lane_that_ends_while_its_children_hold_its_pipes_is_noticed_at_once(box: Box) -> None:
    code = "import os, time\nif os.fork() == 0: time.sleep(60); os._exit(0)\nos._exit(0)"
    started = time.monotonic()
    observation = await run(box, code)
    assert Outcome.KILLED == observation.outcome
    assert time.monotonic() - started < 2


async def test_a_lane_that_ends_between_two_calls_is_replaced_at_the_next(box: Box) -> None:
    await run(box, "import os, threading; threading.Timer(0.05, os._exit, (0,)).start()\n")
    await trio.sleep(0.2)
    assert (Outcome.KILLED, True) == ((gone := await run(box, "1")).outcome, gone.interpreter_reset)
    assert 1 == await value(box, "1")


async def test_a_lane_whose_requests_are_closed_is_killed_and_replaced(box: Box) -> None:
    assert Outcome.OK == (await run(box, "import os; os.close(3)\n")).outcome
    assert Outcome.KILLED == (await run(box, "1")).outcome
    assert 1 == await value(box, "1")


async def test_a_lane_can_be_lost_and_replaced_again_and_again(box: Box) -> None:
    for _ in range(30):
        assert Outcome.KILLED == (await run(box, "import os; os._exit(0)\n")).outcome
    assert 1 == await value(box, "1")
    assert ["1"] == await value(box, "[p for p in __import__('os').listdir('/proc') if p == '1']")


async def test_killing_everything_in_reach_kills_only_what_is_inside(launcher: Launcher) -> None:
    async with (
        launcher.open_sandbox(PROFILE, SMALL) as box,
        launcher.open_sandbox(PROFILE, SMALL) as neighbour,
    ):
        await run(neighbour, "kept = 1")
        await run(box, "kept = 1", beside=True)
        assert Outcome.OK == (await run(box, "import os; os.kill(-1, 9)\n")).outcome
        assert Outcome.KILLED == (await run(box, "1", beside=True)).outcome
        assert 1 == await value(box, "1", beside=True)
        assert 1 == await value(neighbour, "kept")


@pytest.mark.parametrize("number", [9, 15, 2, 17, 19, 11, 34])
async def test_init_is_immune_to_signals_from_inside(box: Box, number: int) -> None:
    assert Outcome.OK == (await run(box, f"import os; os.kill(1, {number})\n")).outcome
    assert 1 == await value(box, "1", beside=True)  # init is needed for this


FORGED = (
    "import os, struct, json\n"
    "def frame(**f): b = json.dumps(f).encode(); return struct.pack('>I', len(b)) + b\n"
)


@pytest.mark.parametrize(
    "forged",
    [
        r"b'Traceback (most recent call last)'",
        r"b'\xff\xff\xff\xff'",
        r"struct.pack('>I', (16 << 20) + 1)",
        r"b'\0\0\0\2[]'",
        r"b'\0\0\0\x0f{\"outcome\":NaN}'",
        r"struct.pack('>I', 200_000) + b'[' * 200_000",
        r"frame(id=0, outcome='ok', value=None, error=None)",
        r"frame(id=2, outcome='ok', value=1.0, error=None)",
        r"frame(id=1, outcome='ok', value=1.0, error=None, reward=1.0)",
        r"frame(id=1, outcome='timeout', value=None, error=None)",
        r"frame(id=1, outcome='ok', value=None, error=None) * 2",
    ],
)
async def test_a_forged_frame_ends_the_session_as_protocol_violation(launcher: Launcher, forged: str) -> None:
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        code = FORGED + f"open('kept', 'w').close()\nos.write(4, {forged})\nimport time; time.sleep(5)"
        observation = await run(box, code)
        assert (Outcome.PROTOCOL_VIOLATION, None) == (observation.outcome, observation.value)
        with pytest.raises(Gone, match="protocol_violation"):
            await run(box, "1")
        with pytest.raises(Gone, match="protocol_violation"):
            await run(box, "1", beside=True)
        final = await box.finish()
        assert Ending.PROTOCOL_VIOLATION == final.ended_by
        assert ["kept"] == list(final.files)
        assert [Outcome.PROTOCOL_VIOLATION] == [call.observation.outcome for call in final.calls]


async def test_a_surplus_frame_after_the_reply_is_a_violation_at_the_next_call(box: Box) -> None:
    surplus = "frame(id=1, outcome='ok', value=None, error=None)"
    await run(box, FORGED + f"import threading; threading.Timer(0.05, os.write, (4, {surplus})).start()\n")
    await trio.sleep(0.2)
    assert Outcome.PROTOCOL_VIOLATION == (await run(box, "1")).outcome
    assert Ending.PROTOCOL_VIOLATION == await box.wait_ended()


async def test_half_a_frame_and_then_silence_is_a_timeout(box: Box) -> None:
    observation = await run(
        box, r"import os, time; os.write(4, b'\0\0\0\x10{'); time.sleep(60)" + "\n", seconds=0.2
    )
    assert observation.outcome in (Outcome.TIMEOUT, Outcome.PROTOCOL_VIOLATION)
    assert observation.value is None


# How a session ends.


async def test_a_daemon_is_gone_when_the_session_is_finished(launcher: Launcher) -> None:
    daemon = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        for fd in range(5):
            os.close(fd)
        while True:
            open('/workspace/ticks', 'a').write('x')
            time.sleep(0.001)
    os._exit(0)
os.wait()
time.sleep(0.05)
"""
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        init = box._init.pid()
        await value(box, daemon)
        inside = children_of(init)
        assert 2 == len(inside)
        final = await box.finish()
        assert not any(is_alive(pid) for pid in (init, *inside))
        assert final.files["ticks"].data.startswith(b"x")
        await trio.sleep(0.02)
        assert final is await box.finish()


async def test_a_process_that_forks_faster_than_it_can_be_looked_at_is_gone_too(launcher: Launcher) -> None:
    hydra = (
        "import os\n"
        "if os.fork() == 0:\n"
        "  os.setsid()\n"
        "  while True:\n"
        "    try:\n"
        "      if os.fork(): os._exit(0)\n"
        "    except OSError: pass"
    )
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        await run(box, hydra)
        init = box._init.pid()
        await box.finish()
        assert not is_alive(init)


async def test_init_killed_from_outside_ends_the_session_and_no_other(launcher: Launcher) -> None:
    async with (
        launcher.open_sandbox(PROFILE, SMALL) as box,
        launcher.open_sandbox(PROFILE, SMALL) as neighbour,
    ):
        await run(box, "open('kept', 'w').close()\n")
        os.kill(box._init.pid(), signal.SIGKILL)
        with trio.fail_after(5):
            assert Ending.KILLED == await box.wait_ended()
        with pytest.raises(Gone, match="killed"):
            await run(box, "1")
        final = await box.finish()
        assert (Ending.KILLED, ["kept"]) == (final.ended_by, list(final.files))
        assert 1 == await value(neighbour, "1")


async def test_init_killed_in_the_middle_of_a_call_is_the_calls_outcome(launcher: Launcher) -> None:
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        async with trio.open_nursery() as nursery:

            async def kill_soon() -> None:
                await trio.sleep(0.1)
                os.kill(box._init.pid(), signal.SIGKILL)

            nursery.start_soon(kill_soon)
            observation = await run(box, "import time; time.sleep(30)\n")
        assert Outcome.KILLED == observation.outcome
        assert Ending.KILLED == await box.wait_ended()


@pytest.mark.parametrize("turn", range(5))
async def test_a_dead_zygote_takes_its_sessions_along_and_is_replaced(launcher: Launcher, turn: int) -> None:
    async with launcher.open_sandbox(PROFILE, SMALL) as idle, launcher.open_sandbox(PROFILE, SMALL) as busy:
        await run(idle, "open('kept', 'w').close()\n")
        zygote, inits = zygote_of(idle), (idle._init.pid(), busy._init.pid())
        gone: list[Gone] = []

        async def call() -> None:
            with pytest.raises(Gone) as raised:
                await run(busy, "import time; time.sleep(30)\n")
            gone.append(raised.value)

        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(call)
                await trio.sleep(0.05)
                os.kill(zygote, signal.SIGKILL)
            assert ["cage_lost"] == [each.ending for each in gone]
            assert Ending.CAGE_LOST == await idle.wait_ended()
        assert Ending.CAGE_LOST.is_ours
        with pytest.raises(Gone, match="cage_lost"):
            await run(idle, "1")
        final = await idle.finish()
        assert (Ending.CAGE_LOST, ["kept"]) == (final.ended_by, list(final.files))
        await wait_gone(zygote, *inits)
        async with launcher.open_sandbox(PROFILE, SMALL) as fresh:
            assert 2 == await value(fresh, "1 + 1")
            assert zygote != zygote_of(fresh)


@pytest.mark.orphans
async def test_a_dead_keeper_leaves_nothing_and_the_launcher_goes_on(launcher: Launcher) -> None:
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        zygote = zygote_of(box)
        os.kill(parent(zygote), signal.SIGKILL)
        await trio.sleep(0.1)
        assert await value(box, "1") == 1  # the keeper only waits, so nothing is lost by it
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        assert 2 == await value(box, "1 + 1")


async def test_leaving_the_block_by_an_exception_ends_the_session(launcher: Launcher) -> None:
    boxes: list[Box] = []
    inits: list[int] = []
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - bare, no group around it: that is the point
        async with launcher.open_sandbox(PROFILE, SMALL) as box:
            boxes.append(box)
            inits.append(box._init.pid())
            raise ZeroDivisionError
    assert not is_alive(inits[0])
    assert 0 == launcher.alive
    assert Ending.CLOSED == await boxes[0].wait_ended()


async def test_leaving_the_block_by_cancellation_ends_the_session_and_its_calls(launcher: Launcher) -> None:
    inits: list[int] = []
    await launcher.warm(PROFILE)
    with trio.move_on_after(0.5):
        async with launcher.open_sandbox(PROFILE, SMALL) as box:
            inits.append(box._init.pid())
            async with trio.open_nursery() as nursery:
                for beside in (False, True):
                    nursery.start_soon(partial(run, box, "while True: pass", beside=beside))
    assert 1 == len(inits)
    assert not is_alive(inits[0])
    assert 0 == launcher.alive


@pytest.mark.parametrize("warm", [False, True])
async def test_opening_can_be_cancelled_at_any_moment(launcher: Launcher, warm: bool) -> None:
    if warm:
        await launcher.warm(PROFILE)
    step, longest = (0.0005, 0.012) if warm else (0.015, 0.15)
    moment = 0.0
    while moment < longest:
        with trio.move_on_after(moment):
            async with launcher.open_sandbox(PROFILE, SMALL):
                pass
        assert 0 == launcher.alive
        moment += step
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        assert 2 == await value(box, "1 + 1")


async def test_closing_the_launcher_ends_what_is_still_open() -> None:
    async with open_launcher() as launcher:
        opened = launcher.open_sandbox(PROFILE, SMALL)
        box = await opened.__aenter__()
        pids = (box._init.pid(), zygote_of(box))
    await wait_gone(*pids)
    with trio.fail_after(5):
        assert await box.wait_ended() in (Ending.CAGE_LOST, Ending.KILLED)
    await opened.__aexit__(None, None, None)


SERVER = """
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

trio.run(main)
"""


@pytest.mark.orphans
def test_a_server_killed_by_sigkill_leaves_no_process_and_the_next_one_sweeps_its_groups() -> None:
    mounts = Path("/proc/self/mountinfo").read_text()
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
    assert mounts == Path("/proc/self/mountinfo").read_text()

    async def start_the_next() -> None:
        async with open_launcher() as launcher:
            groups = launcher._control_groups
            parents = {folder.parent for folder in groups._parents.values()}
            assert not [left for folder in parents for left in folder.glob(f"creche-{server.pid}-*")]
            async with launcher.open_sandbox(PROFILE, SMALL) as box:
                assert 2 == await value(box, "1 + 1")

    trio.run(start_the_next)


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

    async def sweep() -> None:
        async with open_launcher():
            pass

    trio.run(sweep)


async def test_finishing_while_a_call_runs_ends_the_call(launcher: Launcher) -> None:
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        seen: list[Outcome] = []

        async def call(beside: bool) -> None:
            seen.append((await run(box, "import time; time.sleep(30)\n", beside=beside)).outcome)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, False)
            nursery.start_soon(call, True)
            await trio.sleep(0.1)
            final = await box.finish(Ending.SESSION_DEADLINE)
        assert Ending.SESSION_DEADLINE == final.ended_by
        assert [Outcome.KILLED] * 2 == seen


async def test_leaving_the_block_while_a_call_of_another_task_runs_ends_the_call(
    launcher: Launcher, nursery: trio.Nursery
) -> None:
    seen: list[object] = []
    ended = trio.Event()

    async def call(box: Box) -> None:
        try:
            seen.append((await run(box, "import time; time.sleep(30)\n")).outcome)
        except Gone as gone:
            seen.append(gone.ending)
        ended.set()

    with trio.fail_after(10):
        async with launcher.open_sandbox(PROFILE, SMALL) as box:
            nursery.start_soon(call, box)
            await trio.sleep(0.1)
        await ended.wait()
    assert seen[0] in (Outcome.KILLED, "closed")
