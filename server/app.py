"""The Quart-Trio application: routes, and the one place where an exception becomes a reply."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from quart import request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from server import routes
from server.errors import STATUS
from server.logs import get_logger
from server.visit import SCOPE_KEY, Visit
from server.wire import Reply, dump, internal_error, refusal

if TYPE_CHECKING:
    from quart import Response

log = get_logger("app")

Handler = Callable[[Visit, bytes], Awaitable[Reply]]


def create_app(body_bytes: int) -> QuartTrio:
    """Return the application. It expects a `Visit` in each request's scope, which `Front` puts there.

    Args:
        body_bytes: the longest request body; a longer one is answered 413.
    """
    app = QuartTrio(__name__, static_folder=None, template_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=body_bytes,
        # A body that trickles in or a reply that trickles out ends with its connection; a call may take as long as
        # its limits say.
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
        body: bytes = await request.get_data()
        return _render(app, await routes.call_tool(_visit(), tool, body))

    app.add_url_rule("/<tool>", "tool", call_tool, methods=["POST"], provide_automatic_options=False)
    for error in STATUS:
        app.register_error_handler(error, lambda caught: _render(app, refusal(caught)))
    app.register_error_handler(HTTPException, lambda caught: _render(app, _refusal_of_http(caught)))
    app.register_error_handler(Exception, lambda caught: _render(app, _incident(caught)))
    return app


def _add(app: QuartTrio, method: str, path: str, handler: Handler) -> None:
    async def view() -> Response:
        return _render(app, await handler(_visit(), await request.get_data()))

    app.add_url_rule(path, path, view, methods=[method], provide_automatic_options=False)


def _visit() -> Visit:
    visit: Visit = request.scope[SCOPE_KEY]  # type: ignore[typeddict-item]  # ours, put there by Front
    return visit


def _render(app: QuartTrio, reply: Reply) -> Any:
    return app.response_class(reply.body, status=reply.status, content_type="application/json")


def _refusal_of_http(error: HTTPException) -> Reply:
    """Reword what the framework refuses by itself: no such route, no such method, too large a body."""
    words = error.name
    if isinstance(error, RequestEntityTooLarge):
        words = "The request body is too large"
    return Reply(error.code or 500, dump({"detail": words}))


def _incident(error: Exception) -> Reply:
    incident = secrets.token_hex(4)
    log.error("request failed", incident=incident, path=request.path, session=_visit().session_id, exc_info=error)
    return internal_error(incident)
