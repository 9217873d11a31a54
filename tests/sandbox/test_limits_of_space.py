"""The limits of disk, output, final state and descriptors, each hit for real."""

from __future__ import annotations

import sys
from errno import ENOSPC
from typing import TYPE_CHECKING

import attrs
import pytest

from sandbox import lane
from sandbox.errors import WouldNotStart
from sandbox.observation import Outcome
from tests.sandbox.handlers import PROFILE, SMALL, run, value
from tests.sandbox.kin import PATIENCE, children_of, wait_asleep

if TYPE_CHECKING:
    from sandbox.box import Box
    from sandbox.launcher import Launcher
    from sandbox.limits import Limits


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
async def test_a_flood_ends_the_call_as_output_limit_and_keeps_the_state(
    box: Box, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "GRACE_SECONDS", PATIENCE)  # however busy the machine is
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


async def test_a_flood_in_the_background_stops_by_itself_between_calls(launcher: Launcher) -> None:
    # How much of it comes while a call lasts depends on how busy the machine is.
    limits = attrs.evolve(SMALL, flood_bytes=1 << 50)
    async with launcher.open_sandbox(PROFILE, limits) as box:
        await run(box, "import subprocess; p = subprocess.Popen(['yes'])\n")
        (flood,) = children_of(box._lanes["first"].process.pid())
        await wait_asleep(flood)  # the pipe is full, and nobody reads it
        observation = await run(box, "1")
        assert Outcome.OK == observation.outcome
        assert len(observation.stdout) <= SMALL.output_bytes + 60


async def test_a_call_just_below_the_flood_bound_is_well(box: Box) -> None:
    observation = await run(box, f"import sys; sys.stdout.write('x' * {SMALL.flood_bytes})\n")
    assert Outcome.OK == observation.outcome


async def test_the_final_state_is_bounded_in_files_and_bytes(launcher: Launcher) -> None:
    content = SMALL.final_state_bytes - sys.getsizeof("000")
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        await value(
            box,
            "for n in range(100): open('%03d' % n, 'w').write('x')\n"
            f"open('000', 'wb').write(bytes({content}))",
        )
        final = await box.finish()
    assert 1 == len(final.files)  # the first file used up all the bytes
    assert content == len(final.files["000"].data)
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
