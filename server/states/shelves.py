"""Where packs lie: in memory, or in a folder of the server's own. Each is named by its SHA-256."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import attrs

_NAME = re.compile(r"([0-9a-f]{64})\.state")
_UNFINISHED = ".unfinished"

UNFINISHED_SECONDS = 3600.0
"""After which nobody is still writing a pack."""


class ShelfError(Exception):
    """The folder cannot be used. The message is one sentence with the remedy."""


@attrs.frozen
class Entry:
    """A pack that lies there: its digest, its size, and when it was put there, by the wall clock."""

    digest: str
    size: int
    since: float


class Shelf(Protocol):
    """Keeps packs. Its methods may block for as long as a disk does."""

    in_memory: bool

    def entries(self) -> list[Entry]:
        """Return what lies there, the oldest first."""
        ...

    def put(self, digest: str, data: bytes) -> None:
        """Keep `data`. Raises OSError when it cannot be kept; then nothing of it is."""
        ...

    def get(self, digest: str) -> bytes | None:
        """Return a pack as it lies there, or None. Raises OSError when it cannot be read."""
        ...

    def find(self, digest: str) -> Entry | None:
        """Return what is known of a pack, if it is there."""
        ...

    def remove(self, digest: str) -> None:
        """Let go of a pack, if it is there."""
        ...


class MemoryShelf:
    """Keeps packs as long as the server runs."""

    in_memory = True

    def __init__(self) -> None:
        """Start empty."""
        self._packs: dict[str, bytes] = {}

    def entries(self) -> list[Entry]:
        """Return nothing: nothing outlives a server here."""
        return []

    def put(self, digest: str, data: bytes) -> None:
        """Keep it."""
        self._packs[digest] = data

    def get(self, digest: str) -> bytes | None:
        """Return it."""
        return self._packs.get(digest)

    def find(self, digest: str) -> Entry | None:  # noqa: ARG002  # whatever is here, this server has put here
        """Return nothing: what is here its keeper knows."""
        return None

    def remove(self, digest: str) -> None:
        """Let go of it."""
        self._packs.pop(digest, None)


class FolderShelf:
    """Keeps packs as files that only the server's user may read.

    A pack is written under another name and then renamed, so a file with a pack's name is whole; what a
    killed server left unfinished goes when one opens the folder an hour later. Several servers may use one
    folder at once.

    Args:
        folder: made if it is not there.
    """

    in_memory = False

    def __init__(self, folder: Path) -> None:
        """Make the folder ready.

        Raises:
            ShelfError: it cannot be made, or others may look into it.
        """
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = folder.stat()
        except OSError as error:
            msg = f"the folder for captured states, {folder}, cannot be made: {error.strerror}"
            raise ShelfError(msg) from error
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            msg = (
                f"the folder for captured states, {folder}, is open to others: "
                "make it the server's user's own, with mode 700"
            )
            raise ShelfError(msg)
        for path in folder.glob(f"*{_UNFINISHED}"):
            with contextlib.suppress(FileNotFoundError):  # another server has finished it, or removed it
                if path.stat().st_mtime < time.time() - UNFINISHED_SECONDS:
                    path.unlink()

    def entries(self) -> list[Entry]:
        """Return what earlier servers left, the oldest first."""
        return sorted(self._look(), key=lambda entry: entry.since)

    def put(self, digest: str, data: bytes) -> None:
        """Write it whole or not at all."""
        with tempfile.NamedTemporaryFile(dir=self._folder, suffix=_UNFINISHED, delete=False) as file:
            try:
                file.write(data)
                file.flush()
                os.replace(file.name, self._path(digest))  # noqa: PTH105  # the name is a str already
            except OSError:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(file.name)  # noqa: PTH108  # as above
                raise

    def get(self, digest: str) -> bytes | None:
        """Read it."""
        try:
            return self._path(digest).read_bytes()
        except FileNotFoundError:
            return None

    def find(self, digest: str) -> Entry | None:
        """Look whether it is there, whoever has put it there."""
        try:
            return self._entry(digest)
        except FileNotFoundError:
            return None

    def remove(self, digest: str) -> None:
        """Delete it."""
        self._path(digest).unlink(missing_ok=True)

    def _look(self) -> Iterator[Entry]:
        for path in self._folder.iterdir():
            name = _NAME.fullmatch(path.name)
            if name is not None:
                with contextlib.suppress(FileNotFoundError):  # another server has just let go of it
                    yield self._entry(name[1])

    def _entry(self, digest: str) -> Entry:
        status = self._path(digest).stat()
        return Entry(digest, status.st_size, min(status.st_mtime, time.time()))

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}.state"
