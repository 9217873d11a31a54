"""The client without an event loop. Threads may share one."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import attrs
import httpx

from server.client.connections import BROKEN, PATIENCE_SECONDS, options
from server.client.conversation import (
    Conversation,
    Request,
    ask,
    read,
    read_call,
    read_verdict,
)
from server.client.patience import Patience
from server.client.replies import CallReply, Refused, Unreachable, Verdict, as_object


class Client:
    """A server, and connections to it. To be used as ``with``."""

    def __init__(
        self, url: str, *, patience_seconds: float = PATIENCE_SECONDS, http: httpx.Client | None = None
    ) -> None:
        """Connect to nothing yet.

        Args:
            url: such as ``http://127.0.0.1:8000``.
            patience_seconds: how long to send a request again when its connection broke.
            http: connections of your own, with `url` as their ``base_url``; closed with this client.
        """
        self._http = http or httpx.Client(**options(url))
        self._patience = patience_seconds

    def __enter__(self) -> Self:
        """Open nothing: connections are made when they are needed."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections."""
        self._http.close()

    def health(self) -> dict[str, Any]:
        """Return what `/health` says.

        Raises:
            Refused, Unreachable: see there.
        """
        return dict(read(*self.send(ask("/health"))))

    def tools(self) -> list[dict[str, Any]]:
        """Return the tools as function definitions.

        Raises:
            Refused, Unreachable: see there.
        """
        return list(read(*self.send(ask("/tools"))))

    @contextmanager
    def session(self, row: Mapping[str, Any]) -> Generator[Session]:
        """Start a session with a dataset row, and end it with the block.

        Leaving the block without a verdict closes the session.

        Raises:
            Refused: the row does not fit the environment.
            Unreachable: see there.
        """
        conversation = Conversation()
        seeded = as_object(read(*self.send(conversation.seed(row), conversation)))
        session = Session(self, conversation, row, seeded.get("mcp"))
        try:
            yield session
        finally:
            if not session.is_verified:
                _quietly(session)

    def send(self, request: Request, conversation: Conversation | None = None) -> tuple[int, str]:
        """Send a request until there is a reply; return its status and body.

        Raises:
            Unreachable: see there.
        """
        reply = self.fetch(request)
        if conversation is not None:
            conversation.hear(reply.headers.get_list("set-cookie"))
        return reply.status_code, reply.text

    def fetch(self, request: Request) -> httpx.Response:
        """Send a request until there is a reply; return it, read to its end.

        Raises:
            Unreachable: see there.
        """
        patience = Patience(self._patience, request)
        while True:
            try:
                reply = self._http.request(
                    request.method, request.path, content=request.content, headers=dict(request.headers)
                )
            except BROKEN as error:
                time.sleep(patience.pause_after(error))
            else:
                return reply


def _quietly(session: Session) -> None:
    """Close a session; a server that cannot be told ends it by itself."""
    try:
        session.close()
    except (Refused, Unreachable):
        return


@attrs.define(eq=False)
class Session:
    """A live session. Made by `Client.session`.

    Attributes:
        row: what it was seeded with.
        mcp: the way in for an MCP client, where the server offers one: `url_path` and `headers`.
        is_verified: whether it has a verdict, and takes no more calls.
    """

    _client: Client
    _conversation: Conversation
    row: Mapping[str, Any] = attrs.field(repr=False)
    mcp: Mapping[str, Any] | None = attrs.field(repr=False)
    is_verified: bool = False

    def call(self, tool: str, /, **arguments: Any) -> CallReply:
        """Call a tool and return its reply, whatever came of it; executed once, however often it is sent.

        Raises:
            Refused: the call could not be made: no such tool, wrong arguments, the session is over.
            Unreachable: see there. Whether it was executed is not known.
        """
        request = self._conversation.call(tool, arguments)
        return read_call(*self._client.send(request, self._conversation))

    def verify(self, response: Mapping[str, Any]) -> Verdict:
        """End the session and return its verdict; the same one if it is asked for again.

        Args:
            response: the trajectory, as an agent would send it.

        Raises:
            Refused, Unreachable: see there.
        """
        request = self._conversation.verify(self.row, response)
        verdict = read_verdict(*self._client.send(request, self._conversation))
        self.is_verified = True
        return verdict

    def close(self) -> None:
        """End the session without a verdict, and wait until its sandbox is gone; any number of times.

        Raises:
            Refused, Unreachable: see there.
        """
        read(*self._client.send(self._conversation.close(self.row), self._conversation))
