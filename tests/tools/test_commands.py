"""Commands in shells of their own: nothing lasts from one to the next."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import termios
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.launcher import open_launcher
from sandbox.observation import Observation
from sandbox.profile import Handler, Profile
from tests.sandbox.conftest import no_control_groups
from tests.sandbox.handlers import SMALL
from tests.tools.lanes import Lane, Seen, open_lane
from tools.commands import _drain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox.box import Box


@pytest.fixture(name="lane")
def _lane(tmp_path: Path) -> Iterator[Lane]:
    with open_lane("tools.commands:run_command", tmp_path) as lane:
        yield lane


def run(lane: Lane, command: str, *, cwd: Path | str | None = None, **more: Any) -> Seen:
    return lane.call(command=command, cwd=str(cwd or lane.directory), env={"A": "a b"}, **more)


def test_a_folder_that_is_not_there_is_an_error(lane: Lane) -> None:
    seen = run(lane, "true", cwd="/no/such/folder")
    assert seen.error is not None
    assert "/no/such/folder" in seen.error


def test_what_is_no_text_is_an_error_and_the_next_command_runs(lane: Lane) -> None:
    for command in ("\0", "\ud800"):
        assert run(lane, command).error is not None
    assert Seen({"exit_code": 0}, None, "fine\n", "") == run(lane, "echo fine")


def test_streams_environment_and_exit_code(lane: Lane) -> None:
    seen = run(lane, 'echo "$A"; pwd; cat; echo err >&2; exit 3')
    assert Seen({"exit_code": 3}, None, f"a b\n{lane.directory}\n", "err\n") == seen
    assert {"exit_code": 137} == run(lane, "kill -9 $$").value


def test_nothing_of_a_shell_lasts_but_files_and_background_processes(lane: Lane) -> None:
    run(lane, "x=5; cd /; touch here; echo $$ > pid", cwd=lane.directory)
    started = time.monotonic()
    seen = run(lane, "(sleep 30; echo late) & echo $! > job; echo now")
    assert Seen({"exit_code": 0}, None, "now\n", "") == seen
    assert time.monotonic() - started < 20
    assert (
        f"|{lane.directory}\nalive\n" == run(lane, 'echo "$x|$PWD"; kill -0 $(cat job) && echo alive').stdout
    )


@pytest.mark.orphans
def test_what_a_background_process_prints_later_is_in_nobodys_output(lane: Lane) -> None:
    run(lane, "(trap '' PIPE; until [ -e go ]; do sleep 0.02; done; echo leak; touch gone) & true")
    assert "mine\n" == run(lane, "touch go; until [ -e gone ]; do sleep 0.02; done; echo mine").stdout


@pytest.mark.orphans
def test_a_deadline_keeps_what_was_printed_and_leaves_nothing_running(lane: Lane) -> None:
    command = "echo before; echo $$ > pid; trap '' INT TERM; sleep 1000 & touch begun; sleep 1000"
    seen = run(lane, command, seconds=0.3, after="begun")
    assert ("before\n", None) == (seen.stdout, seen.value)
    assert "gone\n" == run(lane, "kill -0 $(cat pid) 2>/dev/null || echo gone").stdout


def test_long_commands_and_much_output_pass(lane: Lane) -> None:
    assert "long\n" == run(lane, ": " + "y" * 300_000 + "\necho long").stdout
    assert 1_000_000 == len(run(lane, "head -c 1000000 /dev/zero | tr '\\0' x").stdout)


RUN = Profile(handlers=(Handler(name="run", lane="run", target="tools.commands:run_command", streams=True),))


async def run_in(box: Box, command: str) -> Observation:
    return await box.call("run", {"command": command, "cwd": "/workspace", "env": {}})


def _held(pipe: int) -> int:
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_of_what_the_background_never_stops_printing_there_is_no_more_than_a_pipe_holds() -> None:
    (reading, noisy), (out, target) = os.pipe(), os.pipe()
    os.set_blocking(reading, False)
    room, taken = fcntl.fcntl(reading, fcntl.F_GETPIPE_SZ), 0

    def take_slowly() -> None:
        nonlocal taken
        while data := os.read(out, 1 << 16):
            taken += len(data)
            time.sleep(0.001)  # so that the pipe is full again by the next look
            if taken > 1 << 24:
                noise.kill()

    with subprocess.Popen(["yes"], stdout=noisy) as noise:
        os.close(noisy)
        while _held(reading) < room:
            time.sleep(0.001)
        taker = threading.Thread(target=take_slowly)
        taker.start()
        _drain({reading: target})
        os.close(target)
        taker.join()
        noise.kill()
    os.close(reading)
    os.close(out)
    assert room == taken


async def test_a_long_script_runs_where_memory_has_no_control_group_too() -> None:
    async with open_launcher() as launcher:
        with no_control_groups(launcher):
            async with launcher.open_sandbox(RUN, SMALL) as box:
                seen = await run_in(box, ": " + "y" * 300_000 + "\necho long")
    assert ({"exit_code": 0}, "long\n") == (seen.value, seen.stdout)
