"""Control messages with descriptors, over a SOCK_SEQPACKET socket pair.

One packet is one JSON object, with up to `MAX_DESCRIPTORS` descriptors beside it. Spoken between server,
zygote and inits only, which are all ours; no process that runs model code holds such a socket.

Runs on both sides of the cage, so it imports the standard library only.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any

MAX_BYTES = 64 * 1024
MAX_DESCRIPTORS = 32


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two joined sockets, close-on-exec."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(channel: socket.socket, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
    """Send one message; the descriptors stay open on this side.

    Raises:
        OSError: the other end is gone, or (on a non-blocking socket) its queue is full.
    """
    socket.send_fds(channel, [json.dumps(message).encode()], descriptors or [], socket.MSG_NOSIGNAL)


def receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Return the next message and its descriptors (now the caller's), or None at the end of file.

    Raises:
        OSError: on a non-blocking socket when there is nothing, and whatever `recvmsg` raises.
        ValueError: the packet was cut short or is not ours.
    """
    data, descriptors, flags, _ = socket.recv_fds(
        channel, MAX_BYTES, MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
    )
    if not data:
        return None
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        for descriptor in descriptors:
            os.close(descriptor)
        msg = "a control message was cut short"
        raise ValueError(msg)
    return json.loads(data), descriptors
