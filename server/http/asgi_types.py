"""ASGI's notions, as this server's own layers speak them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LINE = "creche.line"
"""Where in the scope's ``state`` a request finds its `Line`; not there where Hypercorn serves by itself."""


class Line(Protocol):
    """A connection, for those who answer requests on it.

    Attributes:
        has_broken: whether something could not be sent to the client, or not in time.
    """

    has_broken: bool

    def hang_up(self) -> None:
        """Close it at once."""
