"""One tool call of one session, and the rule by which a repeated request gets its reply again.

Delivery is at least once: NeMo Gym's client sends a call again whenever the connection broke, and gives it no
id. Two requests with the same tool and body may therefore be one call sent twice, or two calls that happen to
be equal. What tells them apart is whether the first one's reply reached anybody: it is known to be lost when
the client hung up before it was sent. Where a client does give an ``Idempotency-Key``, that decides alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import trio

from server.http.wire import Reply

MAX_NAMED = 16
"""Calls with an Idempotency-Key that a session remembers."""

MAX_NAMED_BYTES = 32 * 1024 * 1024
"""Replies that may be kept for them: of very long ones, fewer are remembered."""


@attrs.define(eq=False)
class Exchange:
    """A call that has begun. Each request for it attends it, until its reply is sent or the client hangs up.

    Attributes:
        reply: its answer, once `done` is set.
        attending: requests that are there for the answer now.
        is_delivered: whether the answer was sent to somebody who had not hung up.
    """

    reply: Reply | None = None
    done: trio.Event = attrs.field(factory=trio.Event)
    attending: int = 0
    is_delivered: bool = False
    _interrupted: set[trio.CancelScope] = attrs.field(factory=set[trio.CancelScope])

    def answer(self, reply: Reply) -> None:
        """Give the reply, for everyone who attends."""
        self.reply = reply
        self.done.set()
        for scope in tuple(self._interrupted):
            scope.cancel()

    async def wait(self) -> Reply:
        """Wait for the reply; being cancelled here leaves the call itself alone."""
        await self.done.wait()
        assert self.reply is not None  # noqa: S101  # `answer` sets it before `done`
        return self.reply

    async def wait_unless(self, hang_up: Callable[[], Awaitable[None]]) -> Reply | None:
        """Wait for the reply or for `hang_up`, whichever comes first; None means the latter.

        It takes no task besides the caller's: the reply cancels the waiting for the hang-up.
        """
        if self.reply is None:
            with trio.CancelScope() as scope:
                self._interrupted.add(scope)
                try:
                    await hang_up()
                finally:
                    self._interrupted.discard(scope)
        return self.reply

    def leave(self, *, is_delivered: bool) -> None:
        """Note that a request attends no longer, and whether it took the reply along."""
        self.attending -= 1
        self.is_delivered = self.is_delivered or is_delivered

    @property
    def is_lost(self) -> bool:
        """Whether whoever asked has gone without the answer, so that the same request again is a retry."""
        return not self.is_delivered and not self.attending


@attrs.define(eq=False)
class Memory:
    """The exchanges of a session that may be asked for again: the last one, and the last few with a name."""

    _last_key: bytes = b""
    _last: Exchange | None = None
    _named: dict[str, tuple[bytes, Exchange]] = attrs.field(factory=dict[str, tuple[bytes, Exchange]])

    def recall(self, key: bytes, name: str | None) -> Exchange | None:
        """Return the exchange that a request repeats, or None when it is a new call.

        Args:
            key: digest of the tool's name and the body.
            name: the client's ``Idempotency-Key``, if it sent one.
        """
        if name is not None:
            named_key, exchange = self._named.get(name, (b"", None))
            return exchange if named_key == key else None
        if self._last is not None and self._last_key == key and self._last.is_lost:
            return self._last
        return None

    def remember(self, exchange: Exchange, key: bytes, name: str | None) -> None:
        """Keep a new exchange, in place of the last one, which nobody can be asking for any more."""
        if name is None:
            self._last_key, self._last = key, exchange
            return
        while self._named and (len(self._named) >= MAX_NAMED or self._named_bytes > MAX_NAMED_BYTES):
            del self._named[next(iter(self._named))]
        self._named[name] = (key, exchange)

    @property
    def _named_bytes(self) -> int:
        replies = (exchange.reply for _, exchange in self._named.values())
        return sum(len(reply.body) for reply in replies if reply is not None)
