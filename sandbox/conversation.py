"""One ask at a time over a stream: who may speak, until when, and what a broken rule means.

The far side is hostile. It may answer late, never, twice, with another's id, with garbage, a byte at a time,
or not read what it is sent. There are four results of asking, and only the first leaves the conversation
usable:

* a `Reply` with the asked id;
* `Silence`, when the deadline passed: the same question may be waited for again (after an interrupt, say),
  nothing was lost;
* `HungUp`, when the stream ended;
* `Incoherent`, when what came was not a reply of the agreed form to the question that is open. There is no
  resynchronising.

Knows streams, not pipes or processes, so that all of this is tested on memory streams with a clock that
jumps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import trio

from sandbox import frames

_CHUNK = 1 << 16
_OUTCOMES = ("ok", "error")


class Silence(Exception):
    """No reply before the deadline. The question stays open: call `reply` again, or end the conversation."""


class HungUp(Exception):
    """The far side closed the stream, or died. The conversation is over."""


class Incoherent(Exception):
    """The far side broke the protocol. The conversation is over."""


@attrs.frozen
class Reply:
    """What the far side says came of a question: data, never a verdict."""

    outcome: str
    value: Any
    error: str | None


@attrs.define(eq=False)
class Conversation:
    """Asks questions over `stream` (the caller's to close)."""

    _stream: trio.abc.Stream
    _reader: frames.FrameReader = attrs.field(factory=lambda: frames.FrameReader(frames.MAX_REPLY_BYTES))
    _last_id: int = 0
    _open: bool = False

    @property
    def is_open(self) -> bool:
        """Whether a question has been asked, or begun to be, and not been answered."""
        return self._open

    async def ask(self, tool: str, arguments: Mapping[str, Any], deadline: float) -> None:
        """Send a question; `reply` then waits for what comes of it.

        Args:
            tool: the handler's name.
            arguments: its arguments (JSON).
            deadline: on Trio's clock.

        Raises:
            Incoherent: the far side did not read it in time. The rest of it would be garbage to the reader.
            HungUp: see above.
            sandbox.frames.FrameError: the question is larger than a frame may be. Nothing was sent.
        """
        frame = frames.encode(
            {"id": self._last_id + 1, "tool": tool, "arguments": dict(arguments)}, frames.MAX_REQUEST_BYTES
        )
        self._last_id += 1
        self._open = True
        with trio.CancelScope(deadline=deadline):
            try:
                await self._stream.send_all(frame)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise HungUp from None
            return
        msg = "the request was not read in time"
        raise Incoherent(msg)

    async def reply(self, deadline: float) -> Reply:
        """Wait, or wait again, for the reply to the open question.

        Raises:
            Silence, HungUp, Incoherent: see above.
        """
        with trio.CancelScope(deadline=deadline):
            is_in_parts = False
            while True:
                try:
                    message = self._reader.next_message()
                except frames.FrameError as error:
                    raise Incoherent(str(error)) from None
                if message is not None:
                    return self._accept(message)
                if is_in_parts:  # a stream that always has a little more need never make us wait
                    await trio.lowlevel.checkpoint()
                is_in_parts = True
                try:
                    data = await self._stream.receive_some(_CHUNK)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    raise HungUp from None
                if not data:
                    raise HungUp
                self._reader.feed(bytes(data))
        raise Silence

    def _accept(self, message: dict[str, Any]) -> Reply:
        if set(message) != {"id", "outcome", "value", "error"}:
            msg = "a reply without exactly the agreed fields"
            raise Incoherent(msg)
        if message["id"] != self._last_id or isinstance(message["id"], bool):
            msg = "a reply to another question"
            raise Incoherent(msg)
        if message["outcome"] not in _OUTCOMES or not isinstance(message["error"], str | None):
            msg = "a reply with an outcome or error of no agreed form"
            raise Incoherent(msg)
        if not self._reader.is_clean:
            msg = "more than one reply to one question"
            raise Incoherent(msg)
        self._open = False
        return Reply(message["outcome"], message["value"], message["error"])
