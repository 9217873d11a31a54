"""A rollout's requests, answered without the web framework.

Seeds, tool calls, verdicts and closes are nearly all that is asked of a server, and the framework takes
longer over one than a short call in a sandbox does. Only what is plainly a POST to one of these paths, with a
body of a stated and allowed length, comes this way; whatever is odd in any respect goes to the framework,
which answers it by the same `routes`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import TYPE_CHECKING

from server.http import routes
from server.http.bodies import read_body, send_reply
from server.http.incidents import reply_to
from server.http.operations import OPERATIONS, Post
from server.http.visit import ClientGone, Visit, visit_of, while_client_is_there
from server.http.wire import Reply

if TYPE_CHECKING:
    from server.http.asgi_types import App, Receive, Scope, Send

Answer = Callable[[Visit, bytes, "Receive"], Awaitable[Reply]]
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
                self._answers[operation.path] = partial(_answer, operation.answer)
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
            await send_reply(body, send)
            return
        visit = visit_of(scope)
        try:
            reply = await answer(visit, body, receive)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001  # as the framework does for its own requests
            reply = reply_to(error, path=scope["path"], session=visit.session_id)
        await send_reply(reply, send)

    def _is_plain(self, scope: Scope) -> bool:
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        return length.isdigit() and len(length) <= _MAX_DIGITS and int(length) <= self._body_bytes


async def _call_tool(name: str, visit: Visit, body: bytes, receive: Receive) -> Reply:
    visit.listen(receive)
    return await routes.call_tool(visit, name, body)


async def _answer(
    answer: Callable[[Visit, bytes], Awaitable[Reply]], visit: Visit, body: bytes, receive: Receive
) -> Reply:
    return await while_client_is_there(receive, partial(answer, visit, body))
