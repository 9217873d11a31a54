"""A rollout's requests and replies, without a network: what to send, and what came of it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

import attrs

from server.client.replies import CallReply, Refused, Verdict, as_object

Json = Any
_OK = frozenset({200, 201})

CLOSE_SECONDS = 10.0
"""How long the end of a session that was not verified may take; the server ends it by itself if need be."""


@attrs.frozen
class Request:
    """One request, to be sent as often as it takes: it is the same each time.

    Attributes:
        method: ``"GET"`` or ``"POST"``.
        path: absolute, without the server's address.
        content: the body.
        headers: all that belong to it.
    """

    method: str
    path: str
    content: bytes = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False)


def ask(path: str) -> Request:
    """Return a request that belongs to no session."""
    return Request("GET", path, b"", {})


@attrs.define(eq=False)
class Conversation:
    """One session's side of the talk: its cookies, and the form of its requests."""

    _cookies: dict[str, str] = attrs.field(factory=dict[str, str])

    def seed(self, row: Mapping[str, Json]) -> Request:
        """Return the request that starts the session."""
        return self._post("/seed_session", row, is_named=True)

    def call(self, tool: str, arguments: Mapping[str, Json]) -> Request:
        """Return a tool call. Made once for each call, sent as often as it takes."""
        return self._post(f"/{tool}", arguments, is_named=True)

    def verify(self, row: Mapping[str, Json], response: Mapping[str, Json]) -> Request:
        """Return the request for the verdict; the server remembers that by itself."""
        return self._post("/verify", {**row, "response": response})

    def close(self, row: Mapping[str, Json]) -> Request:
        """Return the request that ends the session without a verdict; the row shows whose it is."""
        return self._post("/close_session", row)

    def hear(self, set_cookies: Iterable[str]) -> None:
        """Take note of a reply's ``Set-Cookie`` headers."""
        for header in set_cookies:
            try:
                self._cookies |= {name: morsel.value for name, morsel in SimpleCookie(header).items()}
            except CookieError:  # a proxy's own; not of this conversation
                continue

    def _post(self, path: str, body: Mapping[str, Json], *, is_named: bool = False) -> Request:
        headers = {"content-type": "application/json"}
        if self._cookies:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        if is_named:
            headers["idempotency-key"] = secrets.token_hex(16)
        return Request("POST", path, json.dumps(body).encode(), headers)


def read(status: int, text: str) -> Json:
    """Return the value in a reply's body.

    Raises:
        Refused: the status is not 200, or there is no JSON where it is.
    """
    try:
        body = json.loads(text)
    except ValueError:
        raise Refused(status, text, text[:200] or "an empty reply") from None
    if status not in _OK:
        raise Refused(status, text, as_object(body).get("detail", body))
    return body


def read_call(status: int, text: str) -> CallReply:
    """Return a tool's reply; raises as `read`."""
    return CallReply(text, read(status, text))


def read_verdict(status: int, text: str) -> Verdict:
    """Return a verdict; raises as `read`."""
    body = as_object(read(status, text))
    if not isinstance(body.get("reward"), int | float):
        raise Refused(status, text, "the reply has no reward")
    return Verdict(
        reward=float(body["reward"]),
        is_masked=bool(body.get("mask_sample") or body.get("_ng_failure_class")),
        failure_kind=str(body.get("failure_kind") or ""),
        failure_reason=str(body.get("failure_reason") or ""),
        body=body,
    )
