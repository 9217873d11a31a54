"""Plays one attempt: as an agent would, and a little more than one would."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import trio

from server.http.cookies import CookieSigner
from server.playing.agent import Agent, object_in, trajectory
from server.playing.connection import Answer, Connection, path_of
from server.redteam.attacks_message import NEIGHBOUR
from tools.shapes import is_dict

if TYPE_CHECKING:
    from server.playing.script import Call
    from server.redteam.attempt import Attempt

_OK = 200


@attrs.frozen(kw_only=True)
class Played:
    """What came of an attempt.

    Attributes:
        status: of the reply to `/verify`.
        reply: the reply itself, if it is an object.
        calls: the replies to the calls.
        after: the replies to the calls after the verdict.
        seconds: how long all of it took.
    """

    status: int
    reply: Mapping[str, Any] = attrs.field(repr=False)
    calls: Sequence[Answer] = ()
    after: Sequence[Answer] = ()
    seconds: float = 0.0

    @property
    def reward(self) -> float:
        """The reward; 0 where there is none."""
        reward = self.reply.get("reward")
        return float(reward) if isinstance(reward, int | float) else 0.0

    @property
    def failure(self) -> str | None:
        """Why the rollout was masked, if it was."""
        return str(self.reply.get("failure_kind", "")) if self.reply.get("mask_sample") else None

    @property
    def told(self) -> str:
        """What the verdict says of why, in a few words."""
        metadata = self.reply.get("metadata")
        message = metadata.get("error_message") if is_dict(metadata) else None
        detail = metadata.get("error") if is_dict(metadata) and message == "Runtime Error" else None
        words = [self.reply.get("failure_reason"), message, detail]
        return ": ".join(str(word).strip().rpartition("\n")[2] for word in words if word)[:120]


async def play(connection: Connection, row: Mapping[str, Any], attempt: Attempt) -> Played:
    """Play `attempt` in a session of `row`."""
    started = trio.current_time()
    agent = Agent(connection)
    await agent.post("/seed_session", row)
    if attempt.label == NEIGHBOUR:
        calls = await _as_a_neighbour(connection, row, agent.cookie, attempt.calls)
    else:
        calls = [await agent.call(call) for call in attempt.calls]
    response = trajectory(attempt, calls)
    verdict = await agent.post("/verify", {**row, "response": response})
    after = [await agent.call(call) for call in attempt.after]
    reply = object_in(verdict)
    return Played(
        status=verdict.status, reply=reply, calls=calls, after=after, seconds=trio.current_time() - started
    )


async def _as_a_neighbour(
    connection: Connection, row: Mapping[str, Any], own: str | None, calls: Sequence[Call]
) -> list[Answer]:
    """Make `calls` with cookies that should lead into a neighbour's session, and do not."""
    neighbour = Agent(connection)
    await neighbour.post("/seed_session", row)
    answers = [
        await connection.post(path_of(call.tool), json.dumps(call.arguments).encode(), forged)
        for forged in _forgeries(neighbour.cookie or "", own or "")
        for call in calls
    ]
    await neighbour.post("/close_session", row)
    return answers


def _forgeries(known: str, own: str) -> Iterator[str]:
    """Go through what can be made of a neighbour's id, one's own cookie and names that everybody knows."""
    name, _, value = known.partition("=")
    session_id = value.partition(".")[0]
    own_signature = own.rpartition(".")[2]
    yield f"{name}={session_id}"
    yield f"{name}={session_id}.{'0' * 32}"
    yield f"{name}={session_id}.{own_signature}"
    yield f"session={session_id}"
    for secret in ("creche", "secret", "NeMoGymServer___config", "Environment___environment"):
        signed = CookieSigner(secret).set_cookie(session_id).decode().partition(";")[0]
        yield f"{name}={signed.partition('=')[2]}"
