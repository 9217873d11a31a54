"""The four pipes of a lane, and a Trio stream made of two of them."""

from __future__ import annotations

import os

import attrs
import trio

from sandbox.output import OutputPipe


@attrs.define(eq=False)
class LanePipes:
    """Both ends of a lane's pipes.

    Attributes:
        talk: our side of requests and replies.
        stdout, stderr: our side of the streams.
        far: the far side's descriptors, in the order in which a lane takes them; closed once they have been
        sent.
    """

    talk: trio.StapledStream[trio.lowlevel.FdStream, trio.lowlevel.FdStream]
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
        self.talk.send_stream.close()
        self.talk.receive_stream.close()


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
    return LanePipes(
        talk=trio.StapledStream(trio.lowlevel.FdStream(request_in), trio.lowlevel.FdStream(reply_out)),
        stdout=OutputPipe(stdout_out),
        stderr=OutputPipe(stderr_out),
        far=[request_out, reply_in, stdout_in, stderr_in],
    )
