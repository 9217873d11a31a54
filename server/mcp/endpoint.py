"""``/mcp``: the official library's endpoint, stateless, in front of `routes.call_tool`."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request

from sandbox.bare import bare_exceptions
from sandbox.frames import has_too_many_values
from server.http import routes
from server.http.bodies import TOO_LONG, once_more, read_body, send_reply
from server.http.incidents import reply_to
from server.http.visit import ClientGone, Visit, visit_of
from server.http.wire import Reply, dump
from server.mcp.tokens import HEADER, URL_PATH, session_of
from server.version import VERSION
from tools.shapes import is_dict

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

    from server.environment import Environment
    from server.http.asgi_types import App, Receive, Scope, Send
    from server.sessions.session import LiveSession

_OK = 200

_ONLY_POST = Reply(405, dump({"detail": "Method Not Allowed"}))
"""The library would open a stream for a GET, and hold it as long as the client likes. Nothing is sent on it
without sessions, and the protocol lets a server do without."""


class Endpoint:
    """An ASGI application for HTTP requests, around another one that gets all but those of MCP clients."""

    def __init__(
        self, app: App, manager: StreamableHTTPSessionManager, body_bytes: int, body_seconds: float
    ) -> None:
        """Hand to `manager` what is posted to `URL_PATH`, once all of it is there."""
        self._app = app
        self._manager = manager
        self._body_bytes = body_bytes
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["path"].rstrip("/") != URL_PATH:
            await self._app(scope, receive, send)
            return
        body = await read_body(receive, self._body_bytes, self._body_seconds)
        if isinstance(body, bytes) and scope["method"] != "POST":
            body = _ONLY_POST
        # As of any tool call: the library would read it at once, and nobody be served meanwhile.
        if isinstance(body, bytes) and has_too_many_values(body):
            body = TOO_LONG
        if isinstance(body, Reply):
            await send_reply(body, send, (b"allow", b"POST"))
        elif body is not None:
            # The library, which answers by plain JSON here, lets nobody know of a client that hangs up.
            visit_of(scope).listen(receive)
            await self._manager.handle_request(scope, once_more(body, receive), send)


@asynccontextmanager
async def open_endpoint(
    app: App, environment: Environment[Any], body_bytes: int, body_seconds: float
) -> AsyncGenerator[Endpoint]:
    """Open the endpoint in front of `app`. Leaving the block cuts off the requests in progress.

    Args:
        app: gets all that is not for MCP.
        environment: whose tools are served.
        body_bytes: the longest request body.
        body_seconds: how long a body may take to come.
    """
    tools = Tools(environment)
    server: Server[Any] = Server(
        environment.name, version=VERSION, on_list_tools=tools.list, on_call_tool=tools.call
    )
    manager = StreamableHTTPSessionManager(
        server,
        json_response=True,
        stateless=True,
        max_request_body_size=body_bytes,
        # The check of Host and Origin is against pages that make a browser ask. They have no token.
        security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    with bare_exceptions():
        async with manager.run():
            yield Endpoint(app, manager, body_bytes, body_seconds)


class Tools:
    """What MCP clients can ask for."""

    def __init__(self, environment: Environment[Any]) -> None:
        """Serve the tools of `environment`."""
        self._tools = [
            types.Tool(name=tool.name, description=tool.description, input_schema=tool.schema())
            for tool in environment.toolbox.tools.values()
        ]

    async def list(
        self, context: ServerRequestContext[Any, Any], _: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        """List the tools: with a token those of the session, without one all."""
        session, _visit = _asked_for(context)
        return types.ListToolsResult(tools=[tool for tool in self._tools if _may_use(session, tool.name)])

    async def call(
        self, context: ServerRequestContext[Any, Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        """Call a tool of the token's session. What is refused is told to the model."""
        name = params.name
        session, visit = _asked_for(context)
        if session is None:
            return _refused(f"No session: bring the {HEADER} of a seed's reply while its session lasts.")
        known = [tool.name for tool in self._tools if _may_use(session, tool.name)]
        if name not in known:
            return _refused(f"Unknown tool: {name!r}. Available tools: {known}")
        visit.known_id = session.id
        try:
            reply = await routes.call_tool(visit, name, dump(params.arguments or {}))
        except ClientGone:
            return _refused("Nobody is there.")  # to hear it, either: but the library has to end the request
        except Exception as error:  # noqa: BLE001  # as the framework does for its own requests
            reply = reply_to(error, tool=name, session=session.id)
        return _told(name, reply)


def _asked_for(context: ServerRequestContext[Any, Any]) -> tuple[LiveSession | None, Visit]:
    request = context.request
    assert isinstance(request, Request)  # noqa: S101  # this transport always brings it
    visit = visit_of(request.scope)
    return session_of(visit.sessions, request.headers.get(HEADER, "")), visit


def _may_use(session: LiveSession | None, name: str) -> bool:
    return session is None or session.allowed is None or name in session.allowed


def _told(name: str, reply: Reply) -> types.CallToolResult:
    value = json.loads(reply.body)
    if reply.status != _OK:
        return _refused(f"HTTP {reply.status} from POST /{name}: {json.dumps(value['detail'])}")
    structured = value if is_dict(value) else None
    return types.CallToolResult(
        content=[types.TextContent(text=reply.body.decode())], structured_content=structured
    )


def _refused(words: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=words)], is_error=True)
