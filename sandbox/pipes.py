"""The four pipes of a lane, and a Trio stream made of two of them."""

from __future__ import annotations

import os

import attrs
import trio

from sandbox.output import OutputPipe

_CHUNK = 1 << 16


class LaneStream(trio.abc.Stream):
    """Requests out through one pipe, replies in through another.

    Like a `trio.StapledStream` of two `trio.lowlevel.FdStream`, but what can be done at once is done without
    a turn of the event loop: a warm call is two small transfers, and two turns are a fifth of its cost.
    """

    def __init__(self, requests: int, replies: int) -> None:
        """Own both descriptors."""
        self._requests = trio.lowlevel.FdStream(requests)
        self._replies = trio.lowlevel.FdStream(replies)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of it, without a checkpoint when it fits the pipe; raises as any stream's `send_all`."""
        if self._requests.fileno() < 0:
            raise trio.ClosedResourceError
        try:
            sent = os.write(self._requests.fileno(), data)
        except BlockingIOError:
            sent = 0
        except BrokenPipeError:
            raise trio.BrokenResourceError from None
        if sent < len(data):
            await self._requests.send_all(memoryview(data)[sent:])

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for room in the pipe."""
        await self._requests.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what is there, or wait for something; empty at the end of file."""
        while True:
            if self._replies.fileno() < 0:
                raise trio.ClosedResourceError
            try:
                return os.read(self._replies.fileno(), max_bytes or _CHUNK)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._replies.fileno())

    def close(self) -> None:
        """Close both ends at once, without a checkpoint."""
        self._requests.close()
        self._replies.close()

    async def aclose(self) -> None:
        """Close both ends."""
        self.close()
        await trio.lowlevel.checkpoint()


@attrs.define(eq=False)
class LanePipes:
    """Both ends of a lane's pipes.

    Attributes:
        talk: our side of requests and replies.
        stdout, stderr: our side of the streams.
        far: the far side's descriptors, in the order in which a lane takes them; closed once they have been
            sent.
    """

    talk: LaneStream
    stdout: OutputPipe
    stderr: OutputPipe
    far: list[int]

    def close_far(self) -> None:
        """Close the far side's ends here, so that their end over there is an end of file."""
        for descriptor in self.far:
            os.close(descriptor)
        self.far.clear()

    def close(self) -> None:
        """Close everything at once, without a checkpoint."""
        self.close_far()
        self.stdout.close()
        self.stderr.close()
        self.talk.close()


def open_lane_pipes() -> LanePipes:
    """Make the pipes of one lane.

    Raises:
        OSError: out of descriptors; nothing stays open.
    """
    made: list[int] = []
    try:
        for _ in range(4):
            made += os.pipe2(os.O_CLOEXEC)
    except OSError:
        for descriptor in made:
            os.close(descriptor)
        raise
    (request_out, request_in), (reply_out, reply_in), (stdout_out, stdout_in), (stderr_out, stderr_in) = (
        (made[0], made[1]), (made[2], made[3]), (made[4], made[5]), (made[6], made[7])
    )  # fmt: skip
    for stream in (stdout_in, stderr_in):
        os.fchmod(stream, 0o622)  # so that the session's user may open /dev/stdout and /dev/stderr anew
    return LanePipes(
        talk=LaneStream(request_in, reply_out),
        stdout=OutputPipe(stdout_out),
        stderr=OutputPipe(stderr_out),
        far=[request_out, reply_in, stdout_in, stderr_in],
    )
