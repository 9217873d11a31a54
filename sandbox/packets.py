"""Control messages with descriptors, over a SOCK_SEQPACKET socket pair.

One packet is one JSON object, with up to `MAX_DESCRIPTORS` descriptors beside it. Spoken between server,
zygote and inits only, which are all ours; no process that runs model code holds such a socket.

Runs on both sides of the cage, so it imports the standard library only.
"""

from __future__ import annotations

import array
import contextlib
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
    rights = array.array("i", descriptors or ())
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []
    channel.sendmsg([json.dumps(message).encode()], ancillary, socket.MSG_NOSIGNAL)


def send_last(channel: socket.socket, message: dict[str, Any]) -> None:
    """Send one message before this process exits; whether anybody still listens makes no difference."""
    with contextlib.suppress(OSError):
        send(channel, message)


def receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Return the next message and its descriptors, or None at the end of file.

    The descriptors are close-on-exec and now the caller's. There are none of them when this process, being at
    its limit, could not take them all.

    Raises:
        OSError: on a non-blocking socket when there is nothing, and whatever `recvmsg` raises.
        ValueError: the packet was cut short or is not ours.
    """
    descriptors = array.array("i")
    room = socket.CMSG_LEN(MAX_DESCRIPTORS * descriptors.itemsize)
    # Not `socket.recv_fds`: that one drops its flags, so what is executed would inherit the descriptors.
    data, ancillary, flags, _ = channel.recvmsg(MAX_BYTES, room, socket.MSG_CMSG_CLOEXEC)
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    if not data:
        return None
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        for descriptor in descriptors:
            os.close(descriptor)
        if flags & socket.MSG_TRUNC:
            msg = "a control message was cut short"
            raise ValueError(msg)
        return json.loads(data), []
    return json.loads(data), list(descriptors)
