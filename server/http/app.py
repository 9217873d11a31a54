"""The Quart-Trio application: routes, and the one place where an exception becomes a reply."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from quart import current_app, request
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioResponse
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from server.description.document import document
from server.description.page import page
from server.http import routes
from server.http.framework import asked
from server.http.incidents import reply_to
from server.http.operations import OPERATIONS, Get
from server.http.visit import Visit
from server.http.wire import Reply, dump


def create_app(body_bytes: int, body_seconds: float) -> QuartTrio:
    """Return the application. It expects a `Visit` in each request's scope, which `Front` puts there.

    Args:
        body_bytes: the longest request body; a longer one is answered 413.
        body_seconds: how long a body may take to come; one that takes longer is answered 408.
    """
    app = QuartTrio(__name__, static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = body_bytes
    app.config["BODY_TIMEOUT"] = body_seconds
    app.config["RESPONSE_TIMEOUT"] = None  # a call takes as long as its limits say
    app.config["HAS_SANDBOXES"] = False
    for operation in OPERATIONS:
        if isinstance(operation, Get):
            _add_get(app, operation.path, operation.answer)
        else:
            _add_post(app, operation.path, operation.answer)
    _add_get(app, "/openapi.json", _description)
    _add_get(app, "/docs", _docs, content_type="text/html; charset=utf-8")

    async def call_tool(tool: str) -> TrioResponse:
        return _render(await routes.call_tool(asked(), tool, await _body()))

    app.add_url_rule("/<tool>", "tool", call_tool, methods=["POST"], provide_automatic_options=False)
    app.register_error_handler(HTTPException, lambda caught: _render(_refusal_of_http(caught)))
    app.register_error_handler(Exception, lambda caught: _render(_reply_to(caught)))
    return app


def _add_get(
    app: QuartTrio, path: str, handler: Callable[[Visit], Reply], content_type: str = "application/json"
) -> None:
    async def view() -> TrioResponse:
        await _body()  # an unread one would be taken for the next request
        return _render(handler(asked()), content_type)

    app.add_url_rule(path, f"GET {path}", view, methods=["GET"], provide_automatic_options=False)


def _add_post(app: QuartTrio, path: str, handler: Callable[[Visit, bytes], Awaitable[Reply]]) -> None:
    async def view() -> TrioResponse:
        return _render(await handler(asked(), await _body()))

    app.add_url_rule(path, f"POST {path}", view, methods=["POST"], provide_automatic_options=False)


def _description(visit: Visit) -> Reply:
    return Reply(200, dump(_document(visit)))


def _docs(visit: Visit) -> Reply:
    return Reply(200, page(_document(visit)))


def _document(visit: Visit) -> Mapping[str, Any]:
    config = cast("Mapping[str, Any]", current_app.config)  # a bare dict to Quart
    return document(visit.sessions.environment, has_sandboxes=bool(config["HAS_SANDBOXES"]))


async def _body() -> bytes:
    return cast("bytes", await request.get_data())


def _render(reply: Reply, content_type: str = "application/json") -> TrioResponse:
    return TrioResponse(reply.body, status=reply.status, content_type=content_type)


def _refusal_of_http(error: HTTPException) -> Reply:
    """Reword what the framework refuses by itself: no such route, no such method, too large a body."""
    words = error.name
    if isinstance(error, RequestEntityTooLarge):
        words = "The request body is too large"
    return Reply(error.code or 500, dump({"detail": words}))


def _reply_to(error: Exception) -> Reply:
    return reply_to(error, path=request.path, session=asked().session_id)
