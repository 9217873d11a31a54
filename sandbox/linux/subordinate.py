"""A user namespace with subordinate ids, as /etc/subuid and /etc/subgid grant them to an ordinary user.

The kernel lets such a user map nothing but its own id. More is mapped by newuidmap and newgidmap, which are
set-uid root and look into those files; being that only helps them outside of the new namespace.
"""

from __future__ import annotations

import errno
import os

from sandbox.linux import namespaces, privileges


def unshare(flags: int, first: int, count: int, mappers: tuple[str, str]) -> None:
    """Move this single-threaded process into a user namespace of its own, as user and group 0 there.

    Supplementary groups are kept, and can be given up from then on.

    Args:
        flags: further `namespaces.NEW*` bits to unshare.
        first: the id outside, of users and groups alike, that is 1 inside.
        count: how many follow one another from there.
        mappers: paths of newuidmap and newgidmap.

    Raises:
        OSError: EPERM when one of these refuses, having told stderr why; and what `unshare` raises.
    """
    target, user, group = str(os.getpid()), os.geteuid(), os.getegid()
    unshared_read, unshared_write = os.pipe()
    outside = os.fork()
    if outside == 0:
        os.close(unshared_write)
        refused = not os.read(unshared_read, 1)
        for mapper, own in zip(mappers, (user, group)):
            line = ("0", str(own), "1", "1", str(first), str(count))
            refused = refused or not _run(mapper, target, *line)
        os._exit(refused)
    os.close(unshared_read)
    try:
        namespaces.unshare(namespaces.NEWUSER | flags)
        privileges.set_dumpable(dumpable=True)  # so that the files in /proc are this user's own
        os.write(unshared_write, b"u")
    finally:
        os.close(unshared_write)
        _, status = os.waitpid(outside, 0)
    if status:
        raise OSError(errno.EPERM, f"{' or '.join(mappers)} refused; stderr says why")


def _run(*arguments: str) -> bool:
    pid = os.posix_spawn(arguments[0], arguments, {})
    return os.waitpid(pid, 0)[1] == 0
