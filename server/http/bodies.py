"""Bodies, for what answers without the framework: a request's, in time and not too long, and its reply's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from server.http.wire import Reply, dump

if TYPE_CHECKING:
    from server.http.asgi_types import Message, Receive, Send

TOO_SLOW = Reply(408, dump({"detail": "Request Timeout"}))
TOO_LONG = Reply(413, dump({"detail": "The request body is too large"}))
"""Both as the framework's own routes say it."""


async def read_body(receive: Receive, at_most: int, seconds: float) -> bytes | Reply | None:
    """Return the whole body, or what is to be answered instead; None when the client has hung up.

    A body that is too long is read to its end, and dropped: a reply to half a request costs the connection.

    Args:
        receive: of the request; nothing of it has been received.
        at_most: how many bytes it may have.
        seconds: how long it may take.
    """
    parts: list[bytes] = []
    length = 0
    with trio.move_on_after(seconds):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part: bytes = message.get("body", b"")
            length += len(part)
            if length > at_most:
                parts.clear()
            else:
                parts.append(part)
            if not message.get("more_body", False):
                return TOO_LONG if length > at_most else b"".join(parts)
    return TOO_SLOW


def once_more(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that was read already, and then what comes after it."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


async def send_reply(reply: Reply, send: Send, *headers: tuple[bytes, bytes]) -> None:
    """Send a whole reply, with `headers` beside those that every one has."""
    length = (b"content-length", str(len(reply.body)).encode())
    sent = [(b"content-type", b"application/json"), length, *headers]
    await send({"type": "http.response.start", "status": reply.status, "headers": sent})
    await send({"type": "http.response.body", "body": reply.body})
