"""Every limit, hit for real. After each the session goes on, or has ended in the way that is promised."""

from __future__ import annotations

import socket
import time
from errno import EAGAIN
from typing import TYPE_CHECKING

import attrs
import pytest
import trio

from sandbox import lane as lane_module
from sandbox import packets
from sandbox.observation import Ending, Outcome
from tests.sandbox.conftest import no_control_groups
from tests.sandbox.handlers import BEGUN_SECONDS, PROFILE, SMALL, run, value
from tests.sandbox.kin import PATIENCE, wait_for_file

if TYPE_CHECKING:
    from sandbox.box import Box
    from sandbox.launcher import Launcher


@pytest.fixture(name="patient")
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have calls that can be interrupted end by that, however busy the machine is."""
    monkeypatch.setattr(lane_module, "GRACE_SECONDS", PATIENCE)


async def test_a_call_that_can_be_interrupted_keeps_its_state(box: Box, patient: None) -> None:
    await run(box, "import time; kept = 41")
    started = time.monotonic()
    observation = await run(box, "print('begun'); time.sleep(600)\n", seconds=BEGUN_SECONDS)
    assert time.monotonic() - started < PATIENCE
    assert (Outcome.TIMEOUT, "begun\n", False) == (
        observation.outcome,
        observation.stdout,
        observation.interpreter_reset,
    )
    assert 42 == await value(box, "kept + 1")


async def test_what_a_call_returns_after_its_deadline_is_handed_on_as_a_timeout(
    box: Box, patient: None
) -> None:
    tidy = "import time\ntry: time.sleep(600)\nexcept KeyboardInterrupt: result = 'tidied up'"
    observation = await run(box, tidy, seconds=BEGUN_SECONDS)
    assert (Outcome.TIMEOUT, "tidied up") == (observation.outcome, observation.value)


@pytest.mark.parametrize(
    "stubborn",
    [
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
        "while True:\n  try:\n    while True: pass\n  except KeyboardInterrupt: pass",
        "import time\ntry: time.sleep(600)\nfinally: time.sleep(600)",
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); signal.pause()\n",
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)\n",
        "import re; re.match('(a+)+$', 'a' * 40 + 'b')\n",
        "import os\nif os.fork(): os.wait()\nwhile True: pass",
        "import subprocess; subprocess.run(['sh', '-c', 'trap \"\" INT TERM HUP; while :; do :; done'])\n",
    ],
)
async def test_a_call_that_cannot_be_interrupted_is_killed_and_files_are_kept(
    box: Box, stubborn: str
) -> None:
    await run(box, "lost = 1; open('kept', 'w').close()\n")
    started = time.monotonic()
    observation = await run(box, stubborn, seconds=0.2)
    assert time.monotonic() - started < PATIENCE
    assert Outcome.TIMEOUT == observation.outcome
    if observation.interpreter_reset:
        assert not await value(box, "'lost' in globals()")
    assert await value(box, "__import__('os').path.exists('kept')")
    alone = "import os; own = ('1', str(os.getpid()))\n"
    alone += "result = [p for p in os.listdir('/proc') if p.isdigit() and p not in own]"
    if observation.interpreter_reset:
        assert [] == await value(box, alone)


async def test_an_ignored_interrupt_resets_the_interpreter(box: Box) -> None:
    await run(box, "lost = 1")
    await run(box, "beside = 1", beside=True)
    ignoring = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "print('begun', flush=True); time.sleep(600)"
    )
    observation = await run(box, ignoring, seconds=BEGUN_SECONDS)
    assert (Outcome.TIMEOUT, True, "begun\n") == (
        observation.outcome,
        observation.interpreter_reset,
        observation.stdout,
    )
    assert (False, False) == ((after := await run(box, "'lost' in globals()")).value, after.interpreter_reset)
    assert 1 == await value(box, "beside", beside=True)


async def test_the_deadline_of_the_limits_holds_when_a_call_has_none(launcher: Launcher) -> None:
    async with launcher.open_sandbox(PROFILE, attrs.evolve(SMALL, call_seconds=0.1)) as box:
        assert Outcome.TIMEOUT == (await run(box, "import time; time.sleep(60)\n")).outcome


async def test_memory_beyond_the_limit_ends_the_call_and_the_session_goes_on(bounded: Launcher) -> None:
    async with bounded.open_sandbox(PROFILE, SMALL) as box:
        await run(box, "lost = 1; open('kept', 'w').close()\n")
        hoard = "hoard = []\nwhile True: hoard.append(b'x' * (1 << 20))"
        for _ in range(2):
            observation = await run(box, hoard)
            assert Outcome.OUT_OF_MEMORY == observation.outcome
            assert f"over {SMALL.memory_bytes} bytes of memory" == observation.error
            assert observation.interpreter_reset
        assert [False, ["kept"]] == await value(box, "['lost' in globals(), __import__('os').listdir()]")
        final = await box.finish()
        assert Ending.FINISHED == final.ended_by
        assert ["kept"] == list(final.files)


async def test_memory_is_counted_over_all_processes_together(bounded: Launcher) -> None:
    each = SMALL.memory_bytes // 4
    many = f"""
import os, time
children = []
for _ in range(8):
    pid = os.fork()
    if pid == 0:
        hoard = b'x' * {each}
        time.sleep(60)
        os._exit(0)
    children.append(pid)
result, end = 0, time.monotonic() + {SMALL.call_seconds * 3 // 4}
while result < 5 and time.monotonic() < end:
    time.sleep(0.01)
    result += os.waitpid(-1, os.WNOHANG) != (0, 0)
"""
    async with bounded.open_sandbox(PROFILE, SMALL) as box:
        observation = await run(box, many)
        killed = observation.value if observation.outcome is Outcome.OK else 8
        assert killed >= 5, observation
        assert observation.outcome in (Outcome.OK, Outcome.OUT_OF_MEMORY)
        assert 1 == await value(box, "1")


async def test_a_process_that_ends_by_itself_is_not_taken_for_one_out_of_memory(bounded: Launcher) -> None:
    child = (
        "import os\nif os.fork() == 0:\n  hoard = b'x' * (256 << 20)\n  os._exit(0)\nresult = os.wait()[1]"
    )
    async with bounded.open_sandbox(PROFILE, SMALL) as box:
        if await value(box, child) == 0:
            pytest.skip("the watchdog did not look in time")
        assert Outcome.KILLED == (await run(box, "os._exit(0)\n")).outcome


async def test_files_count_as_memory_too(bounded: Launcher) -> None:
    limits = attrs.evolve(SMALL, disk_bytes=2 * SMALL.memory_bytes)
    fill = (
        "with open('/dev/shm/a', 'wb') as file:\n"
        f"  for _ in range({limits.disk_bytes >> 20} - 1): file.write(bytes(1 << 20))\n"
        f"import time; time.sleep({SMALL.call_seconds / 2})"  # the watchdog's turn
    )
    async with bounded.open_sandbox(PROFILE, limits) as box:
        observation = await run(box, fill)
        assert observation.outcome in (Outcome.OUT_OF_MEMORY, Outcome.KILLED)
        assert (
            Ending.OUT_OF_MEMORY == (await box.finish()).ended_by
            or observation.outcome is Outcome.OUT_OF_MEMORY
        )


async def test_the_watchdog_watches_on_however_often_it_has_killed_unasked(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With so little room a line is full after a few reports; with what is usual, after half a minute.
    monkeypatch.setattr(packets, "pair", narrow_pair)
    hog = f"""
import os
while True:
    pid = os.fork()
    if pid == 0:
        hoard = b'x' * {2 * SMALL.memory_bytes}
        __import__('signal').pause()
    os.waitpid(pid, 0)
    with open('kills', 'ab') as kills: kills.write(b'.')
"""
    hoard = f"hoard = b'x' * {4 * SMALL.memory_bytes}\nimport time; time.sleep({SMALL.call_seconds / 2})\n"
    with no_control_groups(launcher):
        async with launcher.open_sandbox(PROFILE, SMALL) as box:
            await run(box, f"import os\nif os.fork() == 0:\n  exec({hog!r})\n", beside=True)
            await run(box, "import os\n")
            with trio.fail_after(2 * PATIENCE):
                while await value(box, "os.path.exists('kills') and os.path.getsize('kills')") < 16:
                    await wait_for_file(box, "kills")
            assert Outcome.OUT_OF_MEMORY == (await run(box, hoard)).outcome


def narrow_pair() -> tuple[socket.socket, socket.socket]:
    """Return what `packets.pair` does, with the least room for what the far side sends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    return ours, theirs


async def test_sessions_are_not_charged_for_each_other(bounded: Launcher) -> None:
    keep = f"hoard = b'x' * {SMALL.memory_bytes * 5 // 8}; result = 1"
    async with (
        bounded.open_sandbox(PROFILE, SMALL) as one,
        bounded.open_sandbox(PROFILE, SMALL) as two,
        bounded.open_sandbox(PROFILE, SMALL) as three,
    ):
        for box in (one, two, three):
            assert 1 == await value(box, keep)
        await trio.sleep(0.3)
        for box in (one, two, three):
            assert SMALL.memory_bytes * 5 // 8 == await value(box, "len(hoard)")


async def test_a_fork_bomb_runs_into_the_limit_of_processes(bounded: Launcher) -> None:
    bomb = """
import os, time
n = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        n += 1
except OSError as error:
    result = [n, error.errno]
"""
    async with bounded.open_sandbox(PROFILE, SMALL) as box, bounded.open_sandbox(PROFILE, SMALL) as neighbour:
        count, error = await value(box, bomb)
        assert EAGAIN == error
        assert (
            SMALL.processes - 3 <= count <= SMALL.processes - 2
        )  # init and the lane itself are processes, too
        assert 0 == await value(neighbour, "__import__('subprocess').run(['true']).returncode")
        assert Ending.FINISHED == (await box.finish()).ended_by


async def test_a_fork_bomb_that_does_not_stop_is_ended_at_the_deadline(bounded: Launcher) -> None:
    bomb = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass"
    async with bounded.open_sandbox(PROFILE, SMALL) as box:
        assert Outcome.TIMEOUT == (await run(box, bomb, seconds=0.3)).outcome
        final = await box.finish()
        assert final.ended_by in (Ending.FINISHED, Ending.KILLED)


async def test_threads_count_as_processes(bounded: Launcher) -> None:
    threads = (
        "import threading, time\n"
        "n = 0\n"
        "try:\n"
        "  while True: threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); n += 1\n"
        "except RuntimeError: result = n"
    )
    async with bounded.open_sandbox(PROFILE, SMALL) as box:
        assert await value(box, threads) <= SMALL.processes - 2


async def test_zombies_are_reaped_and_do_not_use_up_the_limit(box: Box) -> None:
    # Who has to reap them needs its turn of the processor: were it not to reap, no turn would be enough.
    orphan = (
        "import os, time\n"
        "def fork():\n"
        "  while True:\n"
        "    try: return os.fork()\n"
        "    except BlockingIOError: time.sleep(0.001)\n"
        "for _ in range(200):\n"
        "  pid = fork()\n"
        "  if pid == 0:\n"
        "    fork()\n"
        "    os._exit(0)\n"
        "  os.waitpid(pid, 0)"
    )
    observation = await run(box, orphan)
    assert Outcome.OK == observation.outcome, observation
    with trio.fail_after(PATIENCE):
        while await value(box, "sum(p.isdigit() for p in os.listdir('/proc'))") != 2:
            pass
