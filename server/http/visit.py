"""What is known of one request besides its body: whose it is, and what became of its reply."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from server.http.wire import Reply
    from server.sessions.exchanges import Exchange
    from server.sessions.registry import Sessions

SCOPE_KEY = "creche"
"""Where in the ASGI scope a request's visit is kept."""


class ClientGone(Exception):
    """Nobody is there for the reply any more."""


@attrs.define(eq=False)
class Visit:
    """One request.

    Attributes:
        sessions: the registry it may act on.
        known_id: the session id in its cookie, if it brought a good one.
        session_id: the id that the reply's cookie will name; a fresh one unless the request brought one.
        name: its Idempotency-Key.
        offers_mcp: whether the server has an endpoint for MCP clients.
        rollout: NeMo Gym's rollout id, if the path carried one.
        exchange: the tool call that it attends.
        has_seeded: whether its reply tells the client of a session.
        is_gone: whether the client has hung up.
        hang_up: returns when the client hangs up; None where the framework sees to that, by cancelling.
        is_delivered: whether the reply was sent while the client was there.
    """

    sessions: Sessions
    known_id: str | None
    session_id: str
    name: str | None = None
    offers_mcp: bool = False
    rollout: str | None = None
    exchange: Exchange | None = None
    has_seeded: bool = False
    is_gone: bool = False
    hang_up: Callable[[], Awaitable[None]] | None = None
    is_delivered: bool = False

    async def attend(self, exchange: Exchange) -> Reply:
        """Wait for a call's reply, as one of those whom it is for.

        Raises:
            ClientGone: the client hung up first. Where the framework sees to that, the wait is cancelled.
        """
        exchange.attending += 1
        self.exchange = exchange
        if self.hang_up is None:
            return await exchange.wait()
        reply = await exchange.wait_unless(self.hang_up)
        if reply is None:
            raise ClientGone
        return reply

    def end(self) -> None:
        """Note the end of the request, by whatever road."""
        if self.exchange is not None:
            self.exchange.leave(is_delivered=self.is_delivered)
        if self.has_seeded:
            self.sessions.note_seed_reply(self.session_id, is_delivered=self.is_delivered)
