"""Folders for sessions that have no file system of their own: made, given to a user, removed, swept up.

A cage has one, named after the server that owns it (`sandbox.owner`), with its copies of the far side and a
folder for each session. The server removes it, or its keeper when the server was killed, and both hold it
until then. What neither could remove, the next start does.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio

from sandbox import owner
from sandbox.errors import Exhausted, Unsupported
from sandbox.inside.plain import FOLDERS, remove_tree

_REMOVAL_SECONDS = 60.0

_NOT_ALONE = frozenset({errno.ENOENT, errno.ENOTEMPTY})
"""What a removal meets in whose way another one is: a cage that is lost goes at the same time as its
sessions, and each of them finds gone what it has just listed. It begins again, and one of the two gets on."""

_PAUSE_SECONDS = 0.01


def _top() -> str:
    """Return the folder that has those of all cages.

    Raises:
        Unsupported: none can be written to, as in a read-only container.
    """
    try:
        return os.path.realpath(tempfile.gettempdir())
    except FileNotFoundError:
        msg = (
            "sessions of this tier have folders below TMPDIR, and nothing there can be written; "
            "mount something there (docker run --tmpfs /tmp), or set TMPDIR"
        )
        raise Unsupported(msg) from None


def name_folder() -> str:
    """Return the path of a cage's folder that does not exist yet.

    Raises:
        Unsupported: there is no place for it.
    """
    return os.path.join(_top(), owner.new_name())


def sweep() -> None:
    """Remove what servers that no longer live left behind; what belongs to somebody else stays.

    Raises:
        Unsupported: there is no place where it could lie.
    """
    for path in owner.abandoned(_top()):
        with contextlib.suppress(OSError):  # what cannot be removed is for the next start to try
            if os.stat(path).st_uid == os.geteuid():
                remove_tree(path)


@asynccontextmanager
async def open_cage_folder(path: str) -> AsyncGenerator[tuple[int, ...]]:
    """Make a cage's folder; on the way out see it gone. Nothing for the path ''.

    Gives the descriptor by which it is held: as long as any process has it, no other server removes it.

    Raises:
        Exhausted: it could not be made.
    """
    if not path:
        yield ()
        return
    try:
        held = owner.make(path)  # sessions are other users, and look for their modules in it
    except OSError as error:
        msg = f"no folder for sessions could be made: {error}; TMPDIR names the place"
        raise Exhausted(msg) from None
    try:
        yield (held,)
    finally:
        with trio.move_on_after(_REMOVAL_SECONDS, shield=True):
            await _remove(path)
        os.close(held)


@asynccontextmanager
async def open_session_folder(parent: str, user: int | None) -> AsyncGenerator[str]:
    """Make a session's folder below its cage's, for the user `user`; on the way out it is removed.

    Gives its path; '' for the parent ''.

    Raises:
        Exhausted: it could not be made.
    """
    if not parent:
        yield ""
        return
    # Another session must not find it by counting: it may not list folders, but ask whether there is one.
    path = os.path.join(parent, secrets.token_hex(16))
    try:
        for made in (path, *(os.path.join(path, name) for name in FOLDERS)):
            os.mkdir(made, 0o700)
            if user is not None:
                os.chown(made, user, user)
    except OSError as error:
        with trio.move_on_after(_REMOVAL_SECONDS, shield=True):
            await _remove(path)
        msg = f"no folder for a session could be made: {error}"
        raise Exhausted(msg) from None
    try:
        yield path
    finally:
        with trio.move_on_after(_REMOVAL_SECONDS, shield=True):
            await _remove(path)


async def _remove(path: str) -> None:
    """Remove a folder, if it can be: what is left goes with the cage, or at the next start."""
    while True:
        try:
            await trio.to_thread.run_sync(remove_tree, path, abandon_on_cancel=True)
        except OSError as error:
            if error.errno not in _NOT_ALONE:
                return
            await trio.sleep(_PAUSE_SECONDS)
        else:
            return
