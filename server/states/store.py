"""Keeps captured states within a number of bytes and an age, and finds them by reference.

What is over a bound goes, the oldest first, whenever a state is kept or asked for: no task sweeps. Where
servers share a folder, each bounds what it has kept itself or found there when it started, and finds what the
others keep.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from server.apart import LONG_BYTES, apart
from server.logs import get_logger
from server.states.packing import DamagedError, KeptState, pack, unpack
from server.states.reference import ReferenceSigner
from server.states.shelves import Entry, FolderShelf, MemoryShelf, Shelf

if TYPE_CHECKING:
    from server.settings import Settings

log = get_logger("states")
T = TypeVar("T")


class States:
    """The captured states of one server.

    Args:
        shelf: where they lie.
        signer: makes the references.
        keep_bytes: how large they may be all together; 0 keeps none.
        keep_seconds: how old.
    """

    def __init__(self, shelf: Shelf, signer: ReferenceSigner, keep_bytes: int, keep_seconds: float) -> None:
        """Take over what lies there, and let go of what is over the bounds."""
        self._shelf, self._signer = shelf, signer
        self._keep_bytes, self._keep_seconds = keep_bytes, keep_seconds
        self._entries = {entry.digest: entry for entry in shelf.entries()}
        self._bytes = sum(entry.size for entry in self._entries.values())
        self._trim()

    @classmethod
    def of(cls, settings: Settings) -> States:
        """Open what the settings name.

        Raises:
            ShelfError: the folder cannot be used.
        """
        folder = settings.reverify_folder
        shelf: Shelf = MemoryShelf() if folder is None else FolderShelf(Path(folder))
        signer = ReferenceSigner(settings.secret)
        return cls(shelf, signer, settings.reverify_bytes, settings.reverify_seconds)

    @property
    def keeps(self) -> bool:
        """Whether any state is kept at all."""
        return self._keep_bytes > 0

    async def keep(self, kept: KeptState) -> str | None:
        """Keep a state and return the reference to it; None if it was not kept, which the log explains."""
        if not self.keeps:
            return None
        data, digest = await apart(kept.final_state.size, lambda: _packed(kept))
        if len(data) > self._keep_bytes:
            log.warning("state not kept: larger than reverify_bytes", session=kept.session, bytes=len(data))
            return None
        self._trim(len(data))
        try:
            await self._at_the_shelf(len(data), lambda: self._shelf.put(digest, data))
        except OSError as error:
            log.error("state not kept", session=kept.session, reason=error.strerror)  # noqa: TRY400  # it says all
            return None
        self._forget(digest)
        self._entries[digest] = Entry(digest, len(data), time.time())
        self._bytes += len(data)
        return self._signer.reference(digest)

    async def get(self, reference: str) -> KeptState | None:
        """Return the state that a reference names, or None when it is not kept any more.

        Raises:
            ForgedError: the reference is none of this server's.
            DamagedError: what was kept is not what was captured.
        """
        digest = self._signer.digest(reference)
        self._trim()
        entry = self._entries.get(digest)
        try:
            if entry is None:
                entry = await self._at_the_shelf(0, lambda: self._shelf.find(digest))
            if entry is None or entry.since < time.time() - self._keep_seconds:
                return None
            data = await self._at_the_shelf(entry.size, lambda: self._shelf.get(digest))
        except OSError as error:
            msg = f"it cannot be read: {error.strerror}"
            raise DamagedError(msg) from error
        return None if data is None else await apart(len(data), lambda: _checked(data, digest))

    async def _at_the_shelf(self, size: int, work: Callable[[], T]) -> T:
        return await apart(size if self._shelf.in_memory else max(size, LONG_BYTES), work)

    def _trim(self, more: int = 0) -> None:
        """Let go of the oldest states until the bounds hold, with room for `more` bytes."""
        oldest = time.time() - self._keep_seconds
        while self._entries:
            entry = next(iter(self._entries.values()))
            if entry.since >= oldest and self._bytes + more <= self._keep_bytes:
                return
            self._forget(entry.digest)
            try:
                self._shelf.remove(entry.digest)
            except OSError as error:
                log.error("state not removed", reason=error.strerror)  # noqa: TRY400  # it says all

    def _forget(self, digest: str) -> None:
        entry = self._entries.pop(digest, None)
        self._bytes -= entry.size if entry else 0


def _packed(kept: KeptState) -> tuple[bytes, str]:
    data = pack(kept)
    return data, hashlib.sha256(data).hexdigest()


def _checked(data: bytes, digest: str) -> KeptState:
    if hashlib.sha256(data).hexdigest() != digest:
        msg = "its digest is not the one it was kept under"
        raise DamagedError(msg)
    return unpack(data)
