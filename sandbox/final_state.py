"""What is left of a session once it is dead: plain data that no process can change any more."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping

import attrs

from sandbox.observation import CallRecord, Ending


def weight(path: str, data_bytes: int) -> int:
    """Return what a file counts against `limits.final_state_bytes`: its content, and its path in memory.

    A path may be 16 KiB long, and one character in it can make each of the others take four bytes.
    """
    return data_bytes + sys.getsizeof(path)


@attrs.frozen
class CapturedFile:
    """A regular file's content and its SHA-256 in hexadecimal."""

    data: bytes = attrs.field(repr=False)
    sha256: str


@attrs.frozen
class Rejected:
    """Something in the tree that was not captured: the beginning of its path (as UTF-8) and the reason."""

    path: str
    reason: str


@attrs.frozen
class Usage:
    """What the session used.

    Attributes:
        cpu_seconds: user and system time of all that ever ran in the session, where control groups of
            version 2 count it. Elsewhere that of init, of the lanes, and of all that these have waited for:
            what still ran in the background at the end is not in it, nor is a lane that init's death took
            along.
        peak_memory_bytes: the high-water mark of the session's memory; None where nothing measured it.
    """

    cpu_seconds: float = 0.0
    peak_memory_bytes: int | None = None


@attrs.frozen(kw_only=True)
class FinalState:
    """A dead session, as seen from outside. Only `Box.finish` makes one of a real session.

    Attributes:
        files: path relative to /workspace (``/`` between its parts) to content, sorted by path.
        rejected: what was not captured, and why, sorted by path.
        ended_by: the road by which the session ended.
        calls: the log of calls, in order, as the server saw them.
        log_bytes: how much of `limits.log_bytes` that log takes.
        usage: what it used.
        claims: what the session said of itself just before it was killed, name to text: its word only.
    """

    files: Mapping[str, CapturedFile] = attrs.field(factory=dict[str, CapturedFile])
    rejected: tuple[Rejected, ...] = ()
    ended_by: Ending = Ending.FINISHED
    calls: tuple[CallRecord, ...] = ()
    log_bytes: int = 0
    usage: Usage = attrs.field(factory=Usage)
    claims: Mapping[str, str] = attrs.field(factory=dict[str, str])

    def text(self, path: str, default: str | None = None) -> str:
        """Return a captured file as text, undecodable bytes replaced.

        Raises:
            KeyError: there is no such file and no `default` was given.
        """
        captured = self.files.get(path)
        if captured is not None:
            return captured.data.decode("utf-8", errors="replace")
        if default is None:
            raise KeyError(path)
        return default

    @property
    def size(self) -> int:
        """How many bytes of memory it takes, about: the files, what was rejected, and the log."""
        kept = sum(weight(path, len(captured.data)) for path, captured in self.files.items())
        return self.log_bytes + kept + sum(weight(each.path, 0) for each in self.rejected)

    @property
    def digest(self) -> str:
        """SHA-256 over the manifest: for each file its path, NUL, its digest, newline, in order of path."""
        manifest = hashlib.sha256()
        for path, captured in sorted(self.files.items()):
            manifest.update(path.encode("utf-8", "surrogatepass") + b"\0" + captured.sha256.encode() + b"\n")
        return manifest.hexdigest()
