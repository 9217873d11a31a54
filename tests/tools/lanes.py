"""Runs a tool as a lane does: in a process of its own, with its streams apart and SIGINT at the deadline."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
_MARK = "LANE_OF_A_TEST"
_PATIENCE_SECONDS = 20.0
_BEGIN_SECONDS = 60.0
_GRACE_SECONDS = 20.0  # less than what is to be interrupted takes by itself


@attrs.frozen
class Seen:
    """What a call brought back."""

    value: Any
    error: str | None
    stdout: str
    stderr: str


class Lane:
    """A process that runs one tool."""

    def __init__(self, target: str, directory: Path, patience: float) -> None:
        """Start it in `directory`, where its streams are kept too, outside of its working directory."""
        self.directory = directory / "workspace"
        self.directory.mkdir()
        self._mark = uuid.uuid4().hex
        self._streams = [(directory / name).open("ab+") for name in ("stdout", "stderr")]
        requests, self._requests = os.pipe()
        self._replies, replies = os.pipe()
        script = str(Path(__file__).with_name("lane_process.py"))
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self.directory),
            "PYTHONPATH": str(ROOT),
            "PYTHONHASHSEED": "0",
            _MARK: self._mark,
        }
        self.process = subprocess.Popen(
            [sys.executable, script, target, str(requests), str(replies), str(patience)],
            cwd=self.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._streams[0],
            stderr=self._streams[1],
            pass_fds=(requests, replies),
            start_new_session=True,
        )
        os.close(requests)
        os.close(replies)

    def call(self, *, seconds: float = _PATIENCE_SECONDS, after: str | None = None, **arguments: Any) -> Seen:
        """Call the tool; interrupt it after a while. Fails if no reply comes even then.

        Args:
            seconds: how long it has, from when it is under way.
            after: a file of the lane's directory that says when that is; None for the call itself.
            arguments: the tool's.
        """
        before = [os.fstat(each.fileno()).st_size for each in self._streams]
        os.write(self._requests, json.dumps(arguments).encode() + b"\n")
        assert self._has_reply(_BEGIN_SECONDS), "the call is not begun"
        assert b"\n" == os.read(self._replies, 1), "the lane has ended"
        while after is not None and not (self.directory / after).exists() and not self._has_reply(0.001):
            pass
        if not self._has_reply(seconds):
            self.process.send_signal(signal.SIGINT)
            assert self._has_reply(_GRACE_SECONDS), "no reply within the grace"
        line = b""
        while not line.endswith(b"\n"):
            data = os.read(self._replies, 1 << 16)
            assert data, "the lane has ended"
            line += data
        stdout, stderr = (
            os.pread(each.fileno(), 1 << 24, start).decode()
            for each, start in zip(self._streams, before, strict=True)
        )
        return Seen(**json.loads(line), stdout=stdout, stderr=stderr)

    def _has_reply(self, seconds: float) -> bool:
        return bool(select.select([self._replies], [], [], seconds)[0])

    def processes(self) -> list[int]:
        """Return all that the lane has started and that lives, the lane's own process included."""
        found: list[int] = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if (
                    entry.name.isdigit()
                    and f"{_MARK}={self._mark}".encode() in (entry / "environ").read_bytes()
                ):
                    found.append(int(entry.name))
        return found

    def close(self) -> None:
        """Kill and reap all of it."""
        while pids := self.processes():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
            for pid in pids:  # orphans come to us, see `tests.leaks.adopt_orphans`
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)
        self.process.wait()
        for stream in self._streams:
            stream.close()
        os.close(self._requests)
        os.close(self._replies)


@contextlib.contextmanager
def open_lane(target: str, directory: Path, *, patience: float = 15.0) -> Iterator[Lane]:
    """Run the tool `target` in a lane of its own.

    Args:
        target: module and name.
        directory: an empty one.
        patience: how long a shell that is interrupted is waited for before it is killed: longer than in a
            session, so that one that is only slow is not.
    """
    lane = Lane(target, directory, patience)
    try:
        yield lane
    finally:
        lane.close()
