"""What stands in for namespaces in the tiers that have none: a folder, adopted orphans, and removal.

A PID namespace ends with its PID 1. Without one, whoever starts processes is a *subreaper*: what loses its
parent becomes its child, so all that a session has started stays below its init, and all that a dead init
has left stays below the zygote, and then below the keeper. Each of them kills and waits until nothing is left
(`sandbox.inside.processes.wipe`) before it says that the session, or the cage, is over.
"""

from __future__ import annotations

import os
import resource
import secrets
import stat
from collections.abc import Iterator
from typing import Any

from sandbox.linux import privileges

FOLDERS = ("workspace", "tmp", "shm")
"""What a session's folder holds: the same names as in the file system that a namespace gives it."""

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HOLD_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def move_in(request: dict[str, Any]) -> int:
    """Settle in the session's folder, as its user if it has one; return a descriptor of the folder."""
    folder, user = request["folder"], request["user"]
    privileges.adopt_orphans()
    if user is not None:
        privileges.lock_capabilities()  # while there still is the right to
        privileges.become(user, user)
    os.environ.update(
        CRECHE_WORKSPACE=f"{folder}/workspace",
        HOME=f"{folder}/workspace",
        TMPDIR=f"{folder}/tmp",
        MPLCONFIGDIR=f"{folder}/tmp/matplotlib",
    )
    # Whatever is written to at once is bounded by the kernel; all files together, by a look now and then.
    resource.setrlimit(resource.RLIMIT_FSIZE, (request["disk_bytes"], request["disk_bytes"]))
    return os.open(folder, _OPEN_FOLDER)


def count_processes_of(user: int) -> int:
    """Return how many threads of a user this machine shows, which is what RLIMIT_NPROC is compared with."""
    total = 0
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if os.stat(f"/proc/{entry}").st_uid == user:
                    total += len(os.listdir(f"/proc/{entry}/task"))
            except OSError:
                continue  # gone meanwhile
    return total


def remove_tree(path: str) -> None:
    """Remove a folder that hostile code has filled.

    Whatever is nested, however deeply, is moved up into the folder itself before its turn comes, so neither
    depth nor long paths matter. No link is followed, and nothing outside is touched, whatever somebody who
    still writes there does meanwhile; but then it may fail.

    Raises:
        OSError: something cannot be removed. What could be is gone. Not for a folder that is not there.
    """
    try:
        top = _open_folder(None, path)
    except FileNotFoundError:
        return
    try:
        free = f".moved-{secrets.token_hex(16)}"  # whoever filled it must not have taken the names
        moved = 0
        while folders := _remove_files(top, os.listdir(top)):
            for name in folders:
                folder = _open_folder(top, name)
                try:
                    for nested in _remove_files(folder, os.listdir(folder)):
                        os.close(_open_folder(folder, nested))  # a folder must be writable to be moved
                        moved += 1
                        os.rename(nested, f"{free}-{moved}", src_dir_fd=folder, dst_dir_fd=top)
                finally:
                    os.close(folder)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(path)


def _remove_files(folder: int, names: list[str]) -> list[str]:
    """Remove what is no folder; return the folders' names."""
    return list(_folders_left(folder, names))


def _folders_left(folder: int, names: list[str]) -> Iterator[str]:
    for name in names:
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            yield name
        else:
            os.unlink(name, dir_fd=folder)


def _open_folder(parent: int | None, name: str) -> int:
    """Open a folder; make it readable and writable if it is not, which its owner may."""
    # What is looked at, changed and opened is one folder: by its name each could be another, or a link.
    held = os.open(name, _HOLD_FOLDER, dir_fd=parent)
    try:
        mode = stat.S_IMODE(os.fstat(held).st_mode)
        if mode & 0o700 != 0o700:  # noqa: PLR2004 - its owner may do everything
            os.chmod(f"/proc/self/fd/{held}", mode | 0o700)
        return os.open(".", _OPEN_FOLDER, dir_fd=held)
    finally:
        os.close(held)
