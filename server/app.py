"""The Quart-Trio application: routes, and the one place where an exception becomes a reply."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from quart import request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from server import routes
from server.incidents import reply_to
from server.visit import SCOPE_KEY, Visit
from server.wire import Reply, dump

if TYPE_CHECKING:
    from quart import Response

Handler = Callable[[Visit, bytes], Awaitable[Reply]]


def create_app(body_bytes: int) -> QuartTrio:
    """Return the application. It expects a `Visit` in each request's scope, which `Front` puts there.

    Args:
        body_bytes: the longest request body; a longer one is answered 413.
    """
    app = QuartTrio(__name__, static_folder=None, template_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=body_bytes,
        # A call takes as long as its limits say. A body, even of many megabytes, is not sent for ever.
        BODY_TIMEOUT=600,
        RESPONSE_TIMEOUT=None,
    )
    for path in ("/", "/healthz", "/livez", "/readyz"):
        _add(app, "GET", path, routes.alive)
    _add(app, "GET", "/health", routes.health)
    _add(app, "GET", "/tools", routes.tools)
    _add(app, "POST", "/seed_session", routes.seed_session)
    _add(app, "POST", "/verify", routes.verify)
    _add(app, "POST", "/close_session", routes.close_session)

    async def call_tool(tool: str) -> Response:
        return _render(app, await routes.call_tool(_visit(), tool, await _body()))

    app.add_url_rule("/<tool>", "tool", call_tool, methods=["POST"], provide_automatic_options=False)
    app.register_error_handler(HTTPException, lambda caught: _render(app, _refusal_of_http(caught)))
    app.register_error_handler(Exception, lambda caught: _render(app, _reply_to(caught)))
    return app


def _add(app: QuartTrio, method: str, path: str, handler: Handler) -> None:
    async def view() -> Response:
        return _render(app, await handler(_visit(), await _body()))

    app.add_url_rule(path, path, view, methods=[method], provide_automatic_options=False)


def _visit() -> Visit:
    scope = cast("dict[str, Any]", request.scope)
    visit: Visit = scope[SCOPE_KEY]
    return visit


async def _body() -> bytes:
    return cast("bytes", await request.get_data())


def _render(app: QuartTrio, reply: Reply) -> Response:
    return app.response_class(reply.body, status=reply.status, content_type="application/json")


def _refusal_of_http(error: HTTPException) -> Reply:
    """Reword what the framework refuses by itself: no such route, no such method, too large a body."""
    words = error.name
    if isinstance(error, RequestEntityTooLarge):
        words = "The request body is too large"
    return Reply(error.code or 500, dump({"detail": words}))


def _reply_to(error: Exception) -> Reply:
    return reply_to(error, path=request.path, session=_visit().session_id)
