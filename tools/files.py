"""The file tools: write, read, edit and list files of the session.

Paths are relative to `WORKSPACE`; absolute ones work too, and mean what they mean inside the sandbox. Only
regular files are opened, and never so that opening could block (a FIFO waits for its other end). Error
messages are for a model to read: what and which path, no numbers.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import contextlib
import errno
import os
import stat
from collections.abc import Generator
from typing import Any

from tools.registry import tool

WORKSPACE = "/workspace"
"""What relative paths are relative to."""

READ_BYTES = 1024 * 1024
"""`read_file` answers with no more than this much of a file."""

EDIT_BYTES = 64 * 1024 * 1024
"""`edit_file` refuses larger files."""

LIST_ENTRIES = 1000
"""`list_files` answers with no more names than this."""

_REASONS = {
    errno.ENOENT: "no such file",
    errno.EISDIR: "is a directory",
    errno.ENOTDIR: "not a directory",
    errno.EEXIST: "not a directory",  # what makedirs says of a file where a folder should be
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "read-only file system",
    errno.ENOSPC: "no space left",
    errno.EDQUOT: "no space left",
    errno.ENAMETOOLONG: "name too long",
    errno.ELOOP: "too many symbolic links",
    errno.ENXIO: "not a regular file",  # a FIFO that nobody reads, or a socket
}


@tool(
    description=(
        "Write a text file, replacing what it held. Folders on the way are created. "
        "The path is relative to /workspace."
    )
)
def write_file(state: dict[str, Any], path: str, content: str) -> dict[str, Any]:
    """Write `content` as UTF-8 to `path`, through symbolic links.

    Args:
        state: what lasts in the lane.
        path: the file, relative to /workspace.
        content: all that the file shall hold.

    Returns:
        ``{"outcome": "ok", "bytes": n}`` with the file's new size.

    Raises:
        OSError: it could not be written; where the disk was full, part of it may have been.
        ValueError: the path holds a NUL, or the content is not valid Unicode. Nothing was touched.
    """
    try:
        data = content.encode("utf-8")
    except UnicodeEncodeError:
        msg = f"the content is not valid Unicode text: {path}"
        raise ValueError(msg) from None
    return _write(path, data)


@tool(name="write_bytes", description="Write a file from base64.")
def write_bytes(state: dict[str, Any], path: str, data: str) -> dict[str, Any]:
    """Write a file that need not be text: the server's own road in, not offered to models.

    Args:
        state: what lasts in the lane.
        path: the file, relative to /workspace.
        data: all that the file shall hold, in base64.

    Returns:
        As `write_file`.

    Raises:
        OSError: as `write_file`.
        ValueError: the data is not base64.
    """
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        msg = "the data is not base64"
        raise ValueError(msg) from None
    return _write(path, content)


@tool(
    description=(
        "Read a text file. At most 1 MiB is returned; `truncated` is true if there is more. "
        "The path is relative to /workspace."
    )
)
def read_file(state: dict[str, Any], path: str) -> dict[str, Any]:
    """Read the first `READ_BYTES` of `path` as UTF-8.

    Args:
        state: what lasts in the lane.
        path: the file, relative to /workspace.

    Returns:
        ``{"outcome": "ok", "content": text}``, with ``"truncated": true`` where the file goes on. Bytes that
        are no UTF-8 come as U+FFFD; a character is never cut in half.

    Raises:
        OSError: there is no such regular file, or it may not be read.
    """
    data = _read(path, READ_BYTES + 1)
    if len(data) <= READ_BYTES:
        return {"outcome": "ok", "content": data.decode("utf-8", "replace")}
    # An incremental decoder keeps a torn last character to itself.
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(data[:READ_BYTES])
    return {"outcome": "ok", "content": text, "truncated": True}


@tool(
    description=(
        "Replace a piece of a text file. `old` must be found exactly once in the file, character by "
        "character, whitespace and line ends included. The path is relative to /workspace."
    )
)
def edit_file(state: dict[str, Any], path: str, old: str, new: str) -> dict[str, Any]:
    """Replace the only occurrence of `old` in `path`.

    The file is compared as bytes, so what is no UTF-8 around the place stays as it is.

    Args:
        state: what lasts in the lane.
        path: the file, relative to /workspace.
        old: the text to replace; must be found exactly once.
        new: the text to put in its place.

    Returns:
        ``{"outcome": "ok"}``.

    Raises:
        OSError: there is no such regular file, or it may not be read or written.
        ValueError: `old` is empty, or not found exactly once; the file is as it was.
    """
    if not old:
        msg = "`old` is empty: it must be text that is found exactly once"
        raise ValueError(msg)
    try:
        before, after = old.encode("utf-8"), new.encode("utf-8")
    except UnicodeEncodeError:
        msg = "`old` and `new` must be valid Unicode text"
        raise ValueError(msg) from None
    data = _read(path, EDIT_BYTES + 1)
    if len(data) > EDIT_BYTES:
        msg = f"too large to edit: {path}"
        raise ValueError(msg)
    count = _count(data, before)
    if count == 0:
        msg = f"`old` is not found in {path}"
        raise ValueError(msg)
    if count > 1:
        msg = f"`old` is found {count} times in {path}, and must be once: give more of the text around it"
        raise ValueError(msg)
    _write(path, data.replace(before, after))
    return {"outcome": "ok"}


@tool(
    description=(
        "List the files below a folder, in all its subfolders. Folders end with `/`. At most 1000 names are "
        "returned; `truncated` is true if there are more. The path is relative to /workspace, "
        "which is the default."
    )
)
def list_files(state: dict[str, Any], path: str = ".") -> dict[str, Any]:
    """List what is below `path`, not following symbolic links.

    Args:
        state: what lasts in the lane.
        path: the folder, relative to /workspace.

    Returns:
        ``{"outcome": "ok", "files": [..]}``: names relative to `path`, sorted, folders with a ``/`` at the
        end. With ``"truncated": true`` these are the first `LIST_ENTRIES`. Bytes that are no UTF-8 come as
        U+FFFD.

    Raises:
        OSError: there is no such folder, or it may not be read. Folders further down that may not be are left
            empty.
    """
    found: list[str] = []
    with plainly(path):
        rest = _entries(absolute(path))
    while rest and len(found) <= LIST_ENTRIES:
        name = rest.pop()
        found.append(name)
        if name.endswith("/"):
            with contextlib.suppress(OSError):  # closed to us, just removed, or too deep for a path
                rest.extend(name + each for each in _entries(os.path.join(absolute(path), name)))
    names = [os.fsencode(name).decode("utf-8", "replace") for name in found[:LIST_ENTRIES]]
    answer: dict[str, Any] = {"outcome": "ok", "files": names}
    if len(found) > LIST_ENTRIES:
        answer["truncated"] = True
    return answer


def _entries(folder: str) -> list[str]:
    """Return the names in `folder`, last first; folders have a ``/``, to sort as their content will."""
    with os.scandir(folder) as entries:
        names = [each.name + "/" if each.is_dir(follow_symlinks=False) else each.name for each in entries]
    return sorted(names, reverse=True)


def _count(data: bytes, piece: bytes) -> int:
    """Count the places where `piece` is found, overlapping ones too: any could have been meant."""
    count, at = 0, data.find(piece)
    while at >= 0:
        count, at = count + 1, data.find(piece, at + 1)
    return count


def _read(path: str, limit: int) -> bytes:
    """Return the first `limit` bytes of the regular file at `path`."""
    with regular(path, os.O_RDONLY) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read(limit)


def _write(path: str, data: bytes) -> dict[str, Any]:
    """Make `data` the content of the regular file at `path`."""
    with plainly(path):
        os.makedirs(os.path.dirname(absolute(path)), exist_ok=True)
    # Not O_TRUNC: what is opened is emptied only when it is known to be a regular file.
    with regular(path, os.O_WRONLY | os.O_CREAT) as descriptor:
        os.ftruncate(descriptor, 0)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    return {"outcome": "ok", "bytes": len(data)}


@contextlib.contextmanager
def regular(path: str, flags: int) -> Generator[int, None, None]:
    """Open `path` if it is a regular file; what fails meanwhile is told plainly."""
    with plainly(path):
        descriptor = os.open(absolute(path), flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, 0o666)
        try:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, "")
            if not stat.S_ISREG(mode):
                raise OSError(errno.ENXIO, "")
            yield descriptor
        finally:
            os.close(descriptor)


def absolute(path: str) -> str:
    """Return where `path` really lies, as relative ones and those below /workspace go into the workspace.

    Raises:
        ValueError: it holds a NUL character.
    """
    if "\0" in path:
        msg = "the path holds a NUL character"
        raise ValueError(msg)
    # Where a session has no root of its own, its workspace lies elsewhere, and is called the same.
    workspace = os.environ.get("CRECHE_WORKSPACE", WORKSPACE)
    if path == WORKSPACE or path.startswith(WORKSPACE + "/"):
        path = path[len(WORKSPACE) + 1 :]
    return os.path.join(workspace, path)


@contextlib.contextmanager
def plainly(path: str) -> Generator[None, None, None]:
    """Raise an `OSError` again as the same class with words for a model; a path that is no text likewise."""
    try:
        yield
    except UnicodeEncodeError:
        msg = "the path is not valid Unicode text"
        raise ValueError(msg) from None
    except OSError as error:
        reason = _REASONS.get(error.errno or 0) or (error.strerror or "input or output failed").lower()
        msg = f"{reason}: {path}"
        raise type(error)(msg) from None
