"""A client of one session at a time, that knows what it may be answered."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from scripts.soaking.wire import NoAnswer, Wire, open_wire

PATIENCE_SECONDS = 120.0
"""Until a request counts as hung. Generous: the machine may be busy with other things."""

_OK = 200


class Surprise(Exception):
    """The server answered something that it must not answer there, or nothing."""


@attrs.define(eq=False)
class Player:
    """Plays sessions, one after the other.

    Attributes:
        chance: decides what is left to chance in the session that is played now.
    """

    _wire: Wire
    _seconds: float
    chance: random.Random
    _cookie: bytes | None = None

    def begin(self, chance: random.Random) -> None:
        """Be nobody's session again."""
        self._cookie = None
        self.chance = chance

    async def post(self, path: str, body: Any, allowed: Collection[int] = (_OK,)) -> tuple[int, Any]:
        """Send a request and return status and body.

        Raises:
            Surprise: the status is none of those allowed, the body is not JSON, or there was no answer.
        """
        cookie = [] if self._cookie is None else [(b"cookie", self._cookie)]
        try:
            with trio.fail_after(self._seconds):
                answer = await self._wire.request(b"POST", path.encode(), cookie, json.dumps(body).encode())
            value = json.loads(answer.body)
        except (NoAnswer, trio.TooSlowError, ValueError) as error:
            msg = f"{path} was not answered: {type(error).__name__}: {error}"
            raise Surprise(msg) from error
        set_cookie = answer.header(b"set-cookie")
        if set_cookie is not None:
            self._cookie = set_cookie.partition(b";")[0]
        if answer.status not in allowed:
            msg = f"{path} was answered {answer.status}: {str(value)[:300]}"
            raise Surprise(msg)
        return answer.status, value

    async def seed(self, row: Mapping[str, Any]) -> None:
        """Start a session."""
        await self.post("/seed_session", row)

    async def call(self, tool: str, outcomes: Collection[str] = ("ok",), **arguments: Any) -> dict[str, Any]:
        """Call a tool and return the observation.

        Raises:
            Surprise: the outcome is none of `outcomes`.
        """
        _, value = await self.post(f"/{tool}", arguments)
        if value["outcome"] not in outcomes:
            msg = f"{tool} {str(arguments)[:80]} came to {str(value)[:300]}"
            raise Surprise(msg)
        return dict(value)

    async def verify(self, row: Mapping[str, Any], reward: float = 1.0) -> dict[str, Any]:
        """End the session with a verdict, and expect it to be worth `reward` and not to be masked."""
        _, value = await self.post("/verify", {**row, "response": {}})
        if (value["reward"], "mask_sample" in value) != (reward, False):
            msg = f"a verdict was {value}, and not a reward of {reward}"
            raise Surprise(msg)
        return dict(value)

    async def verify_masked(self, row: Mapping[str, Any], *kinds: str) -> None:
        """End the session and expect its rollout to be masked, as one of these kinds of failure."""
        _, value = await self.post("/verify", {**row, "response": {}})
        if value.get("failure_kind") not in kinds:
            msg = f"a verdict was {value}, and not masked as one of {kinds}"
            raise Surprise(msg)

    async def close(self, row: Mapping[str, Any]) -> None:
        """End the session without a verdict."""
        await self.post("/close_session", row)

    async def hang_up(self, path: str, body: Any, seconds: float) -> None:
        """Send a request, and break the connection if it is not answered within `seconds`."""
        with trio.move_on_after(seconds):
            await self.post(path, body, (200, 404, 409, 503))


@asynccontextmanager
async def open_player(url: str, seconds: float = PATIENCE_SECONDS) -> AsyncIterator[Player]:
    """Open a client of the server at `url`, whose requests may take so long."""
    async with open_wire(url) as wire:
        yield Player(wire, seconds, random.Random(0))  # noqa: S311  # chance, not secrecy
