"""Every way in which a sandbox can end. After each the leak check of `tests.conftest` finds nothing."""

from __future__ import annotations

import contextlib
import os
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from sandbox.errors import Gone
from sandbox.launcher import Launcher, open_launcher
from sandbox.observation import Ending, Outcome
from tests.sandbox.handlers import PROFILE, SMALL, run, value
from tests.sandbox.kin import (
    BUSY,
    PATIENCE,
    children_of,
    is_alive,
    parent,
    wait_for_file,
    wait_gone,
    zygote_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.box import Box


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
while not (os.path.exists('/workspace/ticks') and os.path.getsize('/workspace/ticks')): time.sleep(0.001)
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
        with trio.fail_after(PATIENCE):
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
                await wait_for_file(box, "begun")
                os.kill(box._init.pid(), signal.SIGKILL)

            nursery.start_soon(kill_soon)
            observation = await run(box, BUSY)
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
                await run(busy, BUSY)
            gone.append(raised.value)

        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(call)
                await wait_for_file(busy, "begun")
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
        keeper = parent(zygote)
        os.kill(keeper, signal.SIGKILL)
        await wait_gone(keeper)
        assert await value(box, "1") == 1  # the keeper only waits, so nothing is lost by it
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        assert 2 == await value(box, "1 + 1")


FREEZER = Path("/sys/fs/cgroup/freezer")


@pytest.fixture(name="freezer")
def _freezer() -> Iterator[Path]:
    """Give a version 1 control group in which even SIGKILL waits: what takes long to die, at no cost."""
    group = FREEZER / f"tests-of-creche-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no freezer of version 1 here: {error}")
    yield group
    (group / "freezer.state").write_text("THAWED")
    while True:  # what was in it may be dying still
        with contextlib.suppress(OSError):
            group.rmdir()
            return


async def test_a_session_that_takes_long_to_die_takes_no_other_along(
    launcher: Launcher, freezer: Path
) -> None:
    # 512 MiB of page tables cost two seconds of a processor, which a few busy sessions made a minute.
    long = 12.0
    async with (
        launcher.open_sandbox(PROFILE, SMALL) as neighbour,
        launcher.open_sandbox(PROFILE, SMALL) as box,
        trio.open_nursery() as nursery,
    ):
        (freezer / "cgroup.procs").write_text(str(box._lanes["first"].process.pid()))
        (freezer / "freezer.state").write_text("FROZEN")
        nursery.start_soon(box.finish)
        await trio.sleep(long)
        assert 2 == await value(neighbour, "1 + 1")
        (freezer / "freezer.state").write_text("THAWED")
        assert Ending.FINISHED == (await box.finish()).ended_by


async def test_a_session_of_a_lost_cage_is_not_over_before_its_last_process_is_gone(
    launcher: Launcher, freezer: Path
) -> None:
    finished = trio.Event()
    async with launcher.open_sandbox(PROFILE, SMALL) as box, trio.open_nursery() as nursery:

        async def finish() -> None:
            assert Ending.CAGE_LOST == (await box.finish()).ended_by
            finished.set()

        lane = box._lanes["first"].process.pid()
        (freezer / "cgroup.procs").write_text(str(lane))
        (freezer / "freezer.state").write_text("FROZEN")
        try:
            os.kill(zygote_of(box), signal.SIGKILL)
            with trio.fail_after(PATIENCE):
                await box._cage.lost.wait()
                nursery.start_soon(finish)
                async with launcher.open_sandbox(PROFILE, SMALL) as fresh:  # of a new cage
                    assert 2 == await value(fresh, "1 + 1")
            assert (True, False) == (is_alive(lane), finished.is_set())
        finally:
            (freezer / "freezer.state").write_text("THAWED")
        with trio.fail_after(PATIENCE):
            await finished.wait()
        assert not is_alive(lane)


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
    with trio.CancelScope() as scope:
        async with launcher.open_sandbox(PROFILE, SMALL) as box:
            inits.append(box._init.pid())
            async with trio.open_nursery() as nursery:
                for beside in (False, True):
                    code = f"open('begun {beside}', 'w').close()\nwhile True: pass"
                    nursery.start_soon(partial(run, box, code, beside=beside))
                for beside in (False, True):
                    await wait_for_file(box, f"begun {beside}")
                scope.cancel()
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
    with trio.fail_after(PATIENCE):
        assert await box.wait_ended() in (Ending.CAGE_LOST, Ending.KILLED)
    await opened.__aexit__(None, None, None)


async def test_finishing_while_a_call_runs_ends_the_call(launcher: Launcher) -> None:
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        seen: list[Outcome] = []

        async def call(beside: bool) -> None:
            code = BUSY.replace("begun", f"begun {beside}")
            seen.append((await run(box, code, beside=beside)).outcome)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, False)
            nursery.start_soon(call, True)
            for beside in (False, True):
                await wait_for_file(box, f"begun {beside}")
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
            seen.append((await run(box, BUSY)).outcome)
        except Gone as gone:
            seen.append(gone.ending)
        ended.set()

    with trio.fail_after(PATIENCE):
        async with launcher.open_sandbox(PROFILE, SMALL) as box:
            nursery.start_soon(call, box)
            await wait_for_file(box, "begun")
        await ended.wait()
    assert seen[0] in (Outcome.KILLED, "closed")
