"""Reading what a dead session left, from outside.

The tree is hostile: every name, type, size and depth in it was chosen by the model. It is also frozen,
because every process that could write to it has been reaped, so what is checked stays true. Each directory
and file is opened relative to a descriptor with rules under which no link is followed and the file system is
not left (`sandbox.linux.openat2`); before its content is read a file is known to be regular and to have one
name. Everything is bounded: files, bytes, depth, entries looked at. What is over a bound or of the wrong kind
is listed as rejected, with the reason; a hostile tree never raises.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator

import attrs
import trio

from sandbox.final_state import CapturedFile, Rejected, weight
from sandbox.limits import Limits
from sandbox.linux.openat2 import open_beneath

MAX_DEPTH = 64
SMALL_INODES, SMALL_BYTES = 32, 256 * 1024
"""A tree this small is read where it is asked for, in less time than a worker thread takes to start."""

CAPTURE_SECONDS = 120.0
"""How long to wait for one of the threads, which others' trees may keep busy."""

_MOST_THREADS = 8
_THREADS: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("threads for captures")

_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
MAX_REJECTED = 1_000
"""Reasons are listed up to here; then one last entry says that there were more."""

MAX_REJECTED_PATH = 512
"""Characters of a rejected path that are kept: what a session chose to name so counts in no budget."""

_CHUNK = 1 << 20
_FILE_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK
_KINDS = (
    (stat.S_ISLNK, "symbolic link"),
    (stat.S_ISFIFO, "FIFO"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "character device"),
    (stat.S_ISBLK, "block device"),
)


class _NotSmall(Exception):
    """Ends a walk that takes longer than it seemed: a file of holes takes no space, and is long to read."""


@attrs.define
class _Budget:
    files: int
    total_bytes: int
    entries: int
    bytes_at_once: int | None = None


@attrs.define
class _Walk:
    budget: _Budget
    files: dict[str, CapturedFile] = attrs.field(factory=dict[str, CapturedFile])
    rejected: list[Rejected] = attrs.field(factory=list[Rejected])

    def reject(self, path: bytes, reason: str) -> None:
        if len(self.rejected) < MAX_REJECTED:
            self.rejected.append(Rejected(_printable(path)[:MAX_REJECTED_PATH], reason))
        elif len(self.rejected) == MAX_REJECTED:
            self.rejected.append(Rejected("...", "more was rejected than is listed"))


async def capture_workspace(
    tree: int, limits: Limits
) -> tuple[dict[str, CapturedFile], tuple[Rejected, ...]]:
    """Capture the folder `workspace` of a dead session's file system, in a thread if it is not small.

    Shielded. Waits for a thread no longer than `CAPTURE_SECONDS`; what it then does has bounds, of `limits`.

    Raises:
        OSError: this process, not the tree, is at fault: it has no descriptors, no memory or no thread left.
            The tree is as it was.
    """
    if _is_small(tree):
        with contextlib.suppress(_NotSmall):
            return capture_tree(tree, b"workspace", limits, SMALL_BYTES)
    with trio.CancelScope(shield=True, deadline=trio.current_time() + CAPTURE_SECONDS):
        return await trio.to_thread.run_sync(capture_tree, tree, b"workspace", limits, limiter=_threads())
    raise OSError(errno.EAGAIN, f"no thread became free within {CAPTURE_SECONDS:g} s")


async def close_tree(tree: int) -> None:
    """Close the descriptor of a dead session's file system, which frees it: in a thread if it is not small.

    Shielded. The kernel takes a quarter of a second for sixteen thousand files.
    """
    if _is_small(tree):
        os.close(tree)
        return
    with trio.CancelScope(shield=True, deadline=trio.current_time() + CAPTURE_SECONDS):
        await trio.to_thread.run_sync(os.close, tree, limiter=_threads())
        return
    os.close(tree)  # no thread became free; rather hold everybody up than keep a dead session's memory


def _threads() -> trio.CapacityLimiter:
    """Return what counts our threads: those of others may be taken for as long as a disk is slow."""
    try:
        return _THREADS.get()
    except LookupError:
        limiter = trio.CapacityLimiter(_MOST_THREADS)
        _THREADS.set(limiter)
        return limiter


def _is_small(tree: int) -> bool:
    used = os.fstatvfs(tree)
    used_bytes = (used.f_blocks - used.f_bfree) * used.f_frsize
    return used.f_files - used.f_ffree <= SMALL_INODES and used_bytes <= SMALL_BYTES


def capture_tree(
    tree: int, folder: bytes, limits: Limits, bytes_at_once: int | None = None
) -> tuple[dict[str, CapturedFile], tuple[Rejected, ...]]:
    """Read the regular files below `folder` of a frozen tree.

    Blocking; meant for a worker thread. Time is bounded by the session's own tmpfs bounds.

    Args:
        tree: descriptor of the tree's top directory.
        folder: name of the directory in it to capture.
        limits: `final_state_files` and `final_state_bytes` bound what is kept, `disk_inodes` what is looked
            at.
        bytes_at_once: when more than that would have to be read, `_NotSmall` is raised.

    Returns:
        Path (relative to `folder`) to content, and what was rejected; both sorted by path.

    Raises:
        OSError: this process is out of descriptors or memory.
    """
    budget = _Budget(
        limits.final_state_files, limits.final_state_bytes, 2 * limits.disk_inodes, bytes_at_once
    )
    walk = _Walk(budget)
    try:
        top = _open_directory(tree, folder)
    except OSError as error:
        walk.reject(b".", _reason(error))
    else:
        _walk_directory(top, b"", 0, walk)
    return dict(sorted(walk.files.items())), tuple(sorted(walk.rejected, key=lambda entry: entry.path))


def _printable(path: bytes) -> str:
    return path.decode("utf-8", errors="backslashreplace")


def _reason(error: OSError) -> str:
    """Return why the guest's file could not be opened; what *we* lack is none of its doing, and is raised."""
    if error.errno in _OURS:
        raise error
    return errno.errorcode.get(error.errno or 0, "error") + " when opened"


def _open_directory(parent: int, name: bytes) -> int:
    try:
        directory = open_beneath(parent, name, _DIRECTORY_FLAGS)
    except PermissionError:
        # An ordinary user's server owns the session's files; a mode of 000 keeps only root's from trying.
        return _open_made_readable(parent, name, _DIRECTORY_FLAGS, 0o700)
    if not os.fstat(directory).st_mode & stat.S_IXUSR:  # can be listed, but nothing in it be opened
        os.fchmod(directory, 0o700)
    return directory


def _open_made_readable(parent: int, name: bytes, flags: int, mode: int) -> int:
    held = open_beneath(parent, name, os.O_PATH)
    try:
        if stat.S_ISLNK(os.fstat(held).st_mode):
            raise OSError(errno.ELOOP, "symbolic link")
        os.chmod(f"/proc/self/fd/{held}", mode)
    finally:
        os.close(held)
    return open_beneath(parent, name, flags)


def _entries(directory: int, walk: _Walk, path: bytes) -> Iterator[bytes]:
    """Give out the directory's names, sorted, as far as the budget of entries goes."""
    names: list[bytes] = []
    with os.scandir(directory) as listing:
        for entry in listing:
            walk.budget.entries -= 1
            if walk.budget.entries < 0:
                walk.reject(path or b".", "too many entries; the rest of this directory was not looked at")
                break
            names.append(os.fsencode(entry.name))
    yield from sorted(names)


def _walk_directory(directory: int, path: bytes, depth: int, walk: _Walk) -> None:
    """Capture what is below `directory`, which is closed here."""
    try:
        for name in _entries(directory, walk, path):
            below = path + b"/" + name if path else name
            try:
                found = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    if depth >= MAX_DEPTH:
                        walk.reject(below, f"deeper than {MAX_DEPTH} directories")
                        continue
                    _walk_directory(_open_directory(directory, name), below, depth + 1, walk)
                else:
                    _capture_file(directory, name, below, found, walk)
            except OSError as error:
                walk.reject(below, _reason(error))
    finally:
        os.close(directory)


def _capture_file(directory: int, name: bytes, path: bytes, found: os.stat_result, walk: _Walk) -> None:
    problem = _problem(path, found, walk.budget)
    if problem is not None:
        walk.reject(path, problem)
        return
    try:
        file = open_beneath(directory, name, _FILE_FLAGS)
    except PermissionError:
        file = _open_made_readable(directory, name, _FILE_FLAGS, 0o600)
    try:
        opened = os.fstat(file)
        problem = _problem(path, opened, walk.budget)
        if problem is not None:
            walk.reject(path, problem)
            return
        if walk.budget.bytes_at_once is not None:
            walk.budget.bytes_at_once -= opened.st_size
            if walk.budget.bytes_at_once < 0:
                raise _NotSmall
        data = _read(file, opened.st_size)
    finally:
        os.close(file)
    text = path.decode("utf-8")
    walk.budget.files -= 1
    walk.budget.total_bytes -= weight(text, len(data))
    walk.files[text] = CapturedFile(data, hashlib.sha256(data).hexdigest())


def _problem(path: bytes, found: os.stat_result, budget: _Budget) -> str | None:
    """Return why this must not be captured, None when it may be."""
    kind = next((name for is_kind, name in _KINDS if is_kind(found.st_mode)), None)
    if kind is not None or not stat.S_ISREG(found.st_mode):
        return kind or "not a regular file"
    if found.st_nlink != 1:
        return "hard link: the file has more than one name"
    if budget.files <= 0:
        return "too many files"
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        return "its name is not UTF-8"
    if weight(text, found.st_size) > budget.total_bytes:
        return "too large: the final state's bytes are used up"
    return None


def _read(file: int, size: int) -> bytes:
    parts: list[bytes] = []
    while size > 0:
        part = os.read(file, min(size, _CHUNK))
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
