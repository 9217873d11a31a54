"""Folders for sessions that have no file system of their own: made, given to a user, removed, swept up.

A cage has one, named ``creche-<pid>-<start time>.<number>`` after the server that owns it, with its copies of
the far side and a folder for each session. Whoever opened one removes it; what a killed server's keeper could
not remove either, the next start does.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import secrets
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio

from sandbox.cgroups import start_time
from sandbox.errors import Exhausted, Unsupported
from sandbox.inside.plain import FOLDERS, remove_tree

_NAME = re.compile(r"creche-(\d+)-(\d+)\.\d+$")
_NUMBERS = itertools.count()
_REMOVAL_SECONDS = 60.0


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
    own = f"creche-{os.getpid()}-{start_time(os.getpid())}.{next(_NUMBERS)}"
    return os.path.join(_top(), own)


def sweep() -> None:
    """Remove what servers that no longer live left behind; what belongs to somebody else stays.

    Raises:
        Unsupported: there is no place where it could lie.
    """
    with os.scandir(_top()) as entries:
        left = [entry for entry in entries if (match := _NAME.match(entry.name)) and not _lives(match)]
    for entry in left:
        if entry.stat(follow_symlinks=False).st_uid == os.geteuid() and entry.is_dir(follow_symlinks=False):
            with contextlib.suppress(OSError):  # another server that starts now was faster
                remove_tree(entry.path)


def _lives(match: re.Match[str]) -> bool:
    return start_time(int(match[1])) == int(match[2])


@asynccontextmanager
async def open_cage_folder(path: str) -> AsyncGenerator[None]:
    """Make a cage's folder; on the way out see it gone. Nothing for the path ''.

    Raises:
        Exhausted: it could not be made.
    """
    if not path:
        yield
        return
    try:
        os.mkdir(path, 0o755)
        os.chmod(path, 0o755)  # noqa: S103 - sessions are other users, and look for their modules in it
    except OSError as error:
        msg = f"no folder for sessions could be made: {error}; TMPDIR names the place"
        raise Exhausted(msg) from None
    try:
        yield
    finally:
        with trio.move_on_after(_REMOVAL_SECONDS, shield=True):
            await _remove(path)


@asynccontextmanager
async def open_session_folder(parent: str, owner: int | None) -> AsyncGenerator[str]:
    """Make a session's folder below its cage's, for the user `owner`; on the way out it is removed.

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
            if owner is not None:
                os.chown(made, owner, owner)
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
    # What is left when this fails goes with the cage, or at the next start.
    with contextlib.suppress(OSError):
        await trio.to_thread.run_sync(remove_tree, path, abandon_on_cancel=True)
