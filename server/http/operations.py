"""The routes, as data: the application and its OpenAPI description are both made from this table.

A route that is not here does not exist, so none can be forgotten in the description. The tools are not
listed: they are the environment's, and share the namespace (``POST /<tool>``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal

import attrs

from server.description import replies
from server.errors import (
    EpisodeLost,
    InvalidBody,
    NoSuchSession,
    NoSuchTool,
    NotJson,
    NotSeeded,
    Overloaded,
    SeededOtherwise,
    SessionLost,
    SessionOver,
    ShuttingDown,
    TooLong,
    TooManyCalls,
)
from server.http import routes

if TYPE_CHECKING:
    from server.http.visit import Visit
    from server.http.wire import Reply

Body = Literal["row", "bare row", "rollout", "step", "close", "nothing", "rollouts"]
"""What a POST takes: a dataset row, which may be in an environment server's envelope or not; a row and the
response to it, whole or one turn of it; what shows whose session is meant; nothing; or the verify replies of
a run."""


@attrs.frozen
class Get:
    """A question that changes nothing.

    Attributes:
        path: where it is asked.
        answer: who answers it; its docstring is the description.
        reply: the shape of a 200.
    """

    path: str
    answer: Callable[[Visit], Reply]
    reply: type


@attrs.frozen
class Post:
    """A step of the protocol.

    Attributes:
        path: where it is taken.
        answer: who answers it; its docstring is the description.
        body: what it takes.
        reply: the shape of a 200.
        errors: what else may come of it, besides a body that is no JSON or too long.
    """

    path: str
    answer: Callable[[Visit, bytes], Awaitable[Reply]]
    body: Body
    reply: type
    errors: tuple[type[Exception], ...] = ()


OPERATIONS: tuple[Get | Post, ...] = (
    *(Get(path, routes.alive, replies.Alive) for path in ("/", "/healthz", "/livez", "/readyz")),
    Get("/health", routes.health, replies.Health),
    Get("/tools", routes.tools, list[replies.ToolDefinition]),
    Get("/reverify_mode", routes.reverify_mode, str),
    Post(
        "/seed_session",
        routes.seed_session,
        "row",
        replies.Seeded,
        (InvalidBody, SeededOtherwise, SessionOver, NotSeeded),
    ),
    Post("/verify", routes.verify, "rollout", replies.Verified, (InvalidBody, NoSuchTool)),
    Post(
        "/close_session",
        routes.close_session,
        "close",
        replies.Closed,
        (InvalidBody, NoSuchTool, SeededOtherwise),
    ),
    Post(
        "/aggregate_metrics",
        routes.aggregate_metrics,
        "rollouts",
        replies.Report,
        (InvalidBody, NoSuchTool),
    ),
    Post(
        "/reset",
        routes.reset,
        "bare row",
        replies.Opened,
        (InvalidBody, SeededOtherwise, NotSeeded, EpisodeLost, ShuttingDown),
    ),
    Post(
        "/step",
        routes.step,
        "step",
        replies.Stepped,
        (
            InvalidBody,
            NoSuchTool,
            NoSuchSession,
            SeededOtherwise,
            SessionOver,
            TooManyCalls,
            TooLong,
            EpisodeLost,
            ShuttingDown,
        ),
    ),
    Post("/close", routes.close, "nothing", replies.Closed, (InvalidBody, NoSuchTool)),
)

RESERVED = frozenset(operation.path.strip("/") for operation in OPERATIONS) | {"mcp", "sandboxes"}
"""What no tool can be named: the routes share its namespace."""

CALL_ERRORS = (
    NotJson,
    InvalidBody,
    NoSuchTool,
    NoSuchSession,
    SessionOver,
    TooManyCalls,
    SessionLost,
    Overloaded,
    ShuttingDown,
)
"""What may come of a tool call besides its observation."""
