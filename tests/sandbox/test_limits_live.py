"""Every limit, hit for real. After each the session goes on, or has ended in the way that is promised."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import attrs
import pytest
import trio

from sandbox.errors import WouldNotStart
from sandbox.observation import Ending, Outcome
from tests.sandbox.handlers import PROFILE, SMALL, run, value

if TYPE_CHECKING:
    from sandbox.box import Box
    from sandbox.launcher import Launcher
    from sandbox.limits import Limits

ENOSPC, EAGAIN = 28, 11


async def test_a_call_that_can_be_interrupted_keeps_its_state(box: Box) -> None:
    await run(box, "import time; kept = 41")
    started = time.monotonic()
    observation = await run(box, "print('begun'); time.sleep(60)\n", seconds=0.2)
    assert time.monotonic() - started < 0.7
    assert (Outcome.TIMEOUT, "begun\n", False) == (
        observation.outcome,
        observation.stdout,
        observation.interpreter_reset,
    )
    assert 42 == await value(box, "kept + 1")


async def test_what_a_call_returns_after_its_deadline_is_handed_on_as_a_timeout(box: Box) -> None:
    tidy = "import time\ntry: time.sleep(60)\nexcept KeyboardInterrupt: result = 'tidied up'"
    observation = await run(box, tidy, seconds=0.2)
    assert (Outcome.TIMEOUT, "tidied up") == (observation.outcome, observation.value)


@pytest.mark.parametrize(
    "stubborn",
    [
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
        "while True:\n  try:\n    while True: pass\n  except KeyboardInterrupt: pass",
        "import time\ntry: time.sleep(60)\nfinally: time.sleep(60)",
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
    assert time.monotonic() - started < 3
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
        "print('begun', flush=True); time.sleep(60)"
    )
    observation = await run(box, ignoring, seconds=0.2)
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
time.sleep(2)
result = sum(1 for pid in children if os.waitpid(pid, os.WNOHANG) != (0, 0))
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
        "import time; time.sleep(1)"
    )
    async with bounded.open_sandbox(PROFILE, limits) as box:
        observation = await run(box, fill)
        assert observation.outcome in (Outcome.OUT_OF_MEMORY, Outcome.KILLED)
        assert (
            Ending.OUT_OF_MEMORY == (await box.finish()).ended_by
            or observation.outcome is Outcome.OUT_OF_MEMORY
        )


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
    orphan = (
        "import os\n"
        "for _ in range(200):\n"
        "  pid = os.fork()\n"
        "  if pid == 0:\n"
        "    if os.fork() == 0: os._exit(0)\n"
        "    os._exit(0)\n"
        "  os.waitpid(pid, 0)"
    )
    observation = await run(box, orphan)
    assert Outcome.OK == observation.outcome, observation
    await trio.sleep(0.1)
    assert 2 == await value(box, "sum(p.isdigit() for p in os.listdir('/proc'))")


@pytest.mark.parametrize("folder", ["/workspace", "/tmp", "/dev/shm"])
async def test_disk_bytes_beyond_the_limit_are_refused(box: Box, folder: str) -> None:
    fill = f"""
n = 0
try:
    with open('{folder}/a', 'wb', buffering=0) as file:
        while True: n += file.write(bytes(1 << 16))
except OSError as error: result = [n, error.errno]
"""
    written, error = await value(box, fill)
    assert ENOSPC == error
    assert SMALL.disk_bytes - (1 << 17) <= written <= SMALL.disk_bytes


async def test_the_writable_places_share_one_budget(box: Box) -> None:
    half = SMALL.disk_bytes * 2 // 3
    assert half == await value(box, f"open('/tmp/a', 'wb').write(bytes({half}))")
    spill = (
        f"try: open('/workspace/b', 'wb').write(bytes({half}))\nexcept OSError as error: result = error.errno"
    )
    assert ENOSPC == await value(box, spill)


async def test_allocating_disk_without_writing_is_bounded_too(box: Box) -> None:
    code = (
        "import os\n"
        "try: os.posix_fallocate(os.open('a', os.O_CREAT | os.O_RDWR), 0, 1 << 40)\n"
        "except OSError as e: result = e.errno"
    )
    assert ENOSPC == await value(box, code)


async def test_inodes_beyond_the_limit_are_refused(box: Box) -> None:
    make = (
        "n = 0\n"
        "try:\n"
        "  while True: __import__('os').mkdir('/tmp/%d' % n); n += 1\n"
        "except OSError as error: result = [n, error.errno]"
    )
    count, error = await value(box, make)
    assert ENOSPC == error
    assert SMALL.disk_inodes - 10 <= count < SMALL.disk_inodes


async def test_output_beyond_the_limit_is_cut_to_head_and_tail(box: Box) -> None:
    observation = await run(
        box, "print('start' + 'x' * 100_000 + 'end'); import sys; print('short', file=sys.stderr)\n"
    )
    assert Outcome.OK == observation.outcome
    assert ("stdout",) == observation.truncated
    assert "short\n" == observation.stderr
    assert observation.stdout.startswith("startxxx")
    assert observation.stdout.endswith("xxxend\n")
    assert f"\n[... {100_009 - SMALL.output_bytes} bytes left out ...]\n" in observation.stdout


async def test_a_cut_lies_between_characters(box: Box) -> None:
    observation = await run(box, "print('a' + '😀' * 100_000)")
    assert "\ufffd" not in observation.stdout
    assert len(observation.stdout.encode()) <= SMALL.output_bytes + 60


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_a_flood_ends_the_call_as_output_limit_and_keeps_the_state(box: Box, stream: str) -> None:
    await run(box, "import sys; kept = 1")
    observation = await run(box, f"while True: print('x' * 1000, file=sys.{stream})")
    assert Outcome.OUTPUT_LIMIT == observation.outcome
    assert (stream,) == observation.truncated
    assert not observation.interpreter_reset
    assert 1 == await value(box, "kept")


async def test_a_flood_by_a_child_that_ignores_everything_is_killed(box: Box) -> None:
    observation = await run(
        box, "import subprocess; subprocess.run(['sh', '-c', 'trap \"\" INT PIPE; yes'])\n"
    )
    assert Outcome.OUTPUT_LIMIT == observation.outcome
    assert 1 == await value(box, "1")


async def test_a_flood_in_the_background_stops_by_itself_between_calls(box: Box) -> None:
    await run(box, "import subprocess; p = subprocess.Popen(['yes'])\n")
    await trio.sleep(0.3)
    observation = await run(box, "1")
    assert Outcome.OK == observation.outcome
    assert len(observation.stdout) <= SMALL.output_bytes + 60


async def test_a_call_just_below_the_flood_bound_is_well(box: Box) -> None:
    observation = await run(box, f"import sys; sys.stdout.write('x' * {SMALL.flood_bytes})\n")
    assert Outcome.OK == observation.outcome


async def test_the_final_state_is_bounded_in_files_and_bytes(launcher: Launcher) -> None:
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        await value(
            box,
            "for n in range(100): open('%03d' % n, 'w').write('x')\n"
            f"open('000', 'wb').write(bytes({SMALL.final_state_bytes}))",
        )
        final = await box.finish()
    assert 1 == len(final.files)  # the first file used up all the bytes
    assert SMALL.final_state_bytes == len(final.files["000"].data)
    assert 99 == len(final.rejected)
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        await value(box, "for n in range(100): open('%03d' % n, 'w').write('x')")
        final = await box.finish()
    assert SMALL.final_state_files == len(final.files)
    assert {"too many files"} == {entry.reason for entry in final.rejected}


async def test_open_descriptors_are_bounded(box: Box) -> None:
    code = (
        "import os\n"
        "fds = []\n"
        "try:\n"
        "  while True: fds.append(os.dup(0))\n"
        "except OSError as error: result = [len(fds), error.errno]\n"
        "for fd in fds: os.close(fd)"
    )
    count, error = await value(box, code)
    assert count < 1024
    assert 24 == error


@pytest.mark.parametrize(("name", "amount"), [("disk_inodes", 1), ("disk_bytes", 1), ("memory_bytes", 4096)])
async def test_limits_in_which_nothing_can_start_are_an_error_and_the_launcher_goes_on(
    launcher: Launcher, name: str, amount: int
) -> None:
    tiny: Limits = attrs.evolve(SMALL, **{name: amount})
    try:
        async with launcher.open_sandbox(PROFILE, tiny) as box:
            await run(box, "1")
    except WouldNotStart:
        pass
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        assert 2 == await value(box, "1 + 1")
