"""What is known of one request besides its body: whose it is, and what became of its reply.

A client that hangs up lets go whoever waits on its behalf, and nothing else: a call goes on. It is noticed in
one of three ways, by whoever has the request's `receive`:

* The web framework has it itself, and cancels what it runs.
* Elsewhere `Visit.listen` gets it. Then `Visit.attend` waits for the hang-up in the request's own task, and
  the call's reply ends that waiting: a warm call starts no task and takes no further turn of the event loop.
* Who waits for more than a call's reply, such as a seed, runs in `while_client_is_there` and is cancelled.
  That would do for calls, too, and cost a warm one some per cent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import attrs
import trio

if TYPE_CHECKING:
    from server.http.asgi_types import Receive, Scope
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
    is_delivered: bool = False
    _receive: Receive | None = None

    def listen(self, receive: Receive) -> None:
        """Notice by `receive` that the client hangs up. The body has been received; nobody else calls it."""
        self._receive = receive

    async def attend(self, exchange: Exchange) -> Reply:
        """Wait for a call's reply, as one of those whom it is for.

        Raises:
            ClientGone: the client hung up first. Where something else sees to that, the wait is cancelled.
        """
        exchange.attending += 1
        self.exchange = exchange
        if self._receive is None:
            return await exchange.wait()
        reply = await exchange.wait_unless(partial(_hang_up, self._receive))
        if reply is None:
            raise ClientGone
        return reply

    def end(self) -> None:
        """Note the end of the request, by whatever road."""
        if self.exchange is not None:
            self.exchange.leave(is_delivered=self.is_delivered)
        if self.has_seeded:
            self.sessions.note_seed_reply(self.session_id, is_delivered=self.is_delivered)


def visit_of(scope: Scope) -> Visit:
    """Return the visit that `Front` has put into a request's scope."""
    visit: Visit = scope[SCOPE_KEY]
    return visit


async def while_client_is_there(receive: Receive, work: Callable[[], Awaitable[Reply]]) -> Reply:
    """Do `work`, which is cancelled when the client hangs up.

    Raises:
        ClientGone: it did so first.
    """
    outcomes: list[Reply | Exception] = []

    async def go() -> None:
        try:
            outcomes.append(await work())
        except Exception as error:  # noqa: BLE001  # raised below, not as one of a nursery's group
            outcomes.append(error)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(go)
        await _hang_up(receive)
        nursery.cancel_scope.cancel()
    if not outcomes:
        raise ClientGone
    (outcome,) = outcomes
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def _hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
