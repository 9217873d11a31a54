"""A rollout's requests, answered without the web framework.

Seeds, tool calls, verdicts and closes are nearly all that is asked of a server, and the framework takes
longer over one than a short call in a sandbox does. Only what is plainly a POST to one of these paths, with a
body of a stated and allowed length, comes this way; whatever is odd in any respect goes to the framework,
which answers it by the same `routes`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from server.http import routes
from server.http.bodies import read_body
from server.http.incidents import reply_to
from server.http.operations import OPERATIONS, Post
from server.http.visit import SCOPE_KEY, ClientGone, Visit
from server.http.wire import Reply

if TYPE_CHECKING:
    from server.http.asgi_types import App, Receive, Scope, Send

Answer = Callable[[Visit, bytes, Callable[[], Awaitable[None]]], Awaitable[Reply]]
"""What answers a request with a body, as long as its client is there: raises ClientGone when it hangs up."""

_MAX_DIGITS = 18
"""Of a body's stated length: what has more is no length, and only costs time to read."""


class HotPath:
    """An ASGI application for HTTP requests, around another one that gets all but a rollout's plain ones."""

    def __init__(self, app: App, tools: Collection[str], body_bytes: int, body_seconds: float) -> None:
        """Answer what is posted to the protocol and to `tools`, if the body is no longer and no later."""
        self._app = app
        self._answers: dict[str, Answer] = {f"/{name}": partial(_call_tool, name) for name in tools}
        for operation in OPERATIONS:
            if isinstance(operation, Post):
                self._answers[operation.path] = partial(_answer_unless, operation.answer)
        self._body_bytes = body_bytes
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        answer = self._answers.get(scope["path"])
        if answer is None or scope["method"] != "POST" or not self._is_plain(scope):
            await self._app(scope, receive, send)
            return
        body = await read_body(receive, self._body_bytes, self._body_seconds)
        if body is None:
            return
        if isinstance(body, Reply):
            await _send(body, send)
            return
        visit: Visit = scope[SCOPE_KEY]
        try:
            reply = await answer(visit, body, partial(_wait_for_hang_up, receive))
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001  # as the framework does for its own requests
            reply = reply_to(error, path=scope["path"], session=visit.session_id)
        await _send(reply, send)

    def _is_plain(self, scope: Scope) -> bool:
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        return length.isdigit() and len(length) <= _MAX_DIGITS and int(length) <= self._body_bytes


async def _call_tool(name: str, visit: Visit, body: bytes, hang_up: Callable[[], Awaitable[None]]) -> Reply:
    visit.hang_up = hang_up
    return await routes.call_tool(visit, name, body)


async def _answer_unless(
    answer: Callable[[Visit, bytes], Awaitable[Reply]],
    visit: Visit,
    body: bytes,
    hang_up: Callable[[], Awaitable[None]],
) -> Reply:
    """Answer, unless `hang_up` returns before: then that is cancelled."""
    outcomes: list[Reply | Exception] = []

    async def go() -> None:
        try:
            outcomes.append(await answer(visit, body))
        except Exception as error:  # noqa: BLE001  # raised below, not as one of a nursery's group
            outcomes.append(error)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(go)
        await hang_up()
        nursery.cancel_scope.cancel()
    if not outcomes:
        raise ClientGone
    (outcome,) = outcomes
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def _wait_for_hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(reply: Reply, send: Send) -> None:
    headers: list[Any] = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(reply.body)).encode()),
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
