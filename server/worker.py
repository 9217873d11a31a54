"""Only one process may serve a listening socket: workers that share one share no sessions.

Hypercorn's workers, like those of other servers, inherit one listening socket, so a request lands in any of
them. Each worker claims the listening sockets that it holds by binding a name in the abstract namespace, made
of the socket's inode, which two workers have in common and two servers have not. The claim ends with the
process, however it ends.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Generator
from contextlib import ExitStack, contextmanager


class SecondWorkerError(Exception):
    """Another process serves the same socket already."""


@contextmanager
def claim_listeners() -> Generator[None]:
    """Claim all listening sockets that this process holds, while the block lasts.

    Raises:
        SecondWorkerError: another process has claimed one of them.
    """
    with ExitStack() as claims:
        for inode in sorted(_listening_inodes()):
            claim = claims.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            try:
                claim.bind(f"\0creche-listener-{inode}")
            except OSError as error:
                msg = (
                    "a second worker would get requests of sessions that it does not have; "
                    "start Hypercorn with one worker (--workers 1)"
                )
                raise SecondWorkerError(msg) from error
        yield


def _listening_inodes() -> set[int]:
    found: set[int] = set()
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # names only
        descriptor = int(name)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISSOCK(status.st_mode):
                continue
            with socket.socket(fileno=os.dup(descriptor)) as listener:
                if listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    found.add(status.st_ino)
        except OSError:  # it was closed meanwhile, as the descriptor of the listing itself is
            continue
    return found
