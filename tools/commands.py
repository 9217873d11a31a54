"""One command in a shell of its own, as container runtimes run them: for the server's own errands, no tool.

Theory of operation::

    this process ◄── two pipes ── bash -c "command"      what comes is passed on to our stdout and stderr

The call ends with the shell, not with the last process that holds its stdout: what it left in the background
goes on, and what that writes from then on nobody reads. Pipes of our own in between see to it that none of it
gets into the output of a later command.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
from typing import Any

from tools.anonymous import anonymous_file, fill
from tools.files import absolute
from tools.registry import tool
from tools.shell import exit_descriptor

_CHUNK = 65536
_LOOK_MILLISECONDS = 20
_LONGEST_ARGUMENT = 100_000
"""The kernel takes 128 KiB in one argument; what is longer is read from a file without a name."""


@tool(name="run_command", streams=True, description="Run a command in a shell of its own.")
def run_command(state: dict[str, Any], command: str, cwd: str, env: dict[str, str]) -> dict[str, Any]:
    """Run `command` by ``bash -c`` and pass on what it prints.

    At the deadline the command and all that has stayed in its session is killed.

    Args:
        state: what lasts in the lane; nothing does.
        command: may be a script of many lines.
        cwd: where it starts; relative to /workspace.
        env: what it has in its environment beside what the lane has.

    Returns:
        ``{"exit_code": n}``, 128+n for a shell that a signal ended.

    Raises:
        OSError: it could not be started: there is no such folder, say, or no room for a long script.
        ValueError: the command or the environment holds a NUL character, or what is no Unicode text.
    """
    script = command.encode("utf-8")
    with contextlib.ExitStack() as stack:
        arguments, passed = ["bash", "-c", command], list[int]()
        if len(script) > _LONGEST_ARGUMENT and b"\0" not in script:
            file = anonymous_file()
            stack.callback(os.close, file)
            fill(file, script)
            arguments, passed = ["bash", f"/proc/self/fd/{file}"], [file]
        streams: dict[int, int] = {}
        ends: list[int] = []
        for target in (1, 2):
            reading, writing = os.pipe()
            os.set_blocking(reading, False)
            stack.callback(os.close, reading)
            streams[reading] = target
            ends.append(writing)
        try:
            process = subprocess.Popen(
                arguments,
                executable="/bin/bash",
                stdin=subprocess.DEVNULL,
                stdout=ends[0],
                stderr=ends[1],
                cwd=absolute(cwd),
                env={**os.environ, **env},
                pass_fds=passed,
                start_new_session=True,
            )
        finally:
            for writing in ends:
                os.close(writing)
        try:
            code = _wait(process, streams)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            _drain(streams)
            raise
    return {"exit_code": code if code >= 0 else 128 - code}


def _wait(process: subprocess.Popen[bytes], streams: dict[int, int]) -> int:
    """Pass on what comes until the process has ended; return its code."""
    poll = select.poll()
    for reading in streams:
        poll.register(reading, select.POLLIN)
    exited = exit_descriptor(process.pid)
    with contextlib.ExitStack() as stack:
        if exited is not None:
            stack.callback(os.close, exited)
            poll.register(exited, select.POLLIN)
        code = None
        while code is None:
            ready = [
                descriptor for descriptor, _ in poll.poll(None if exited is not None else _LOOK_MILLISECONDS)
            ]
            code = process.poll()  # first, so that the last look below is one after its end
            for reading in ready:
                if reading in streams and not _pass_on(reading, streams[reading]):
                    poll.unregister(reading)
    _drain(streams)
    return code


def _drain(streams: dict[int, int]) -> None:
    """Pass on what is there now, and no more: what runs in the background may never stop printing."""
    for reading, target in streams.items():
        waiting = struct.unpack("i", fcntl.ioctl(reading, termios.FIONREAD, bytes(4)))[0]
        while waiting > 0 and (passed := _pass_on(reading, target, min(waiting, _CHUNK))):
            waiting -= passed


def _pass_on(reading: int, target: int, most: int = _CHUNK) -> int:
    """Copy what is there, `most` bytes of it; return how many."""
    try:
        data = os.read(reading, most)
    except BlockingIOError:
        return 0
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(target, rest) :]
    return len(data)
