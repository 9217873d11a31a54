"""The second generation of NeMo Gym's protocol: sessions that an environment server names.

An environment server makes up an id for each session before it asks for one, so that no lost reply can hide a
session from it: the same id again is the same session, and a close works without a cookie, more than once,
and also for a session that was never seen (no late seed may start it then). The id cannot be guessed, and no
agent learns it, so a model that posts to ``/close_session`` can close nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from server.errors import InvalidBody


@attrs.frozen
class EpisodeId:
    """One attempt at a rollout."""

    rollout_id: str
    attempt: int = 0


@attrs.frozen
class TaskId:
    """Where a row comes from."""

    taskset: str
    task_id: str


@attrs.frozen
class Episode:
    """Whose session it is.

    Attributes:
        session_id: `resources_session_id`: the environment server's secret.
        id: the attempt that it belongs to.
    """

    session_id: str = attrs.field(repr=False)
    id: EpisodeId

    @property
    def name(self) -> str:
        """The key under which the session is found; no Idempotency-Key is like it."""
        return f"episode\0{self.session_id}"

    @property
    def attempt(self) -> str:
        """The rollout's id as it stands in paths."""
        return _with_attempt(self.id.rollout_id, self.id.attempt)


@attrs.frozen
class SeedEnvelope:
    """The body of a seed: whose session, and the row's fields without the agent's."""

    resources_session_id: str
    episode_id: EpisodeId
    task_id: TaskId
    task_data: Mapping[str, Any]

    @property
    def episode(self) -> Episode:
        """Whose session it is. Raises InvalidBody when the id is empty."""
        return _episode(self.resources_session_id, self.episode_id)


@attrs.frozen
class CloseEnvelope:
    """The body of a close."""

    resources_session_id: str
    episode_id: EpisodeId

    @property
    def episode(self) -> Episode:
        """Whose session it is. Raises InvalidBody when the id is empty."""
        return _episode(self.resources_session_id, self.episode_id)


def _episode(session_id: str, episode_id: EpisodeId) -> Episode:
    if not session_id:
        words = "String should have at least 1 character"
        loc = ["body", "resources_session_id"]
        raise InvalidBody([{"type": "string_too_short", "loc": loc, "msg": words, "input": ""}])
    return Episode(session_id, episode_id)


def rollout_of(row: Mapping[str, Any]) -> str | None:
    """Return the rollout's id that a row of the first generation carries, if it does."""
    named = row.get("_ng_rollout_id")
    task, index, attempt = (row.get(f"_ng_{key}_index") for key in ("task", "rollout", "attempt"))
    if not isinstance(named, str):
        if not isinstance(task, int) or not isinstance(index, int):
            return None
        named = f"{task}-{index}"
    return _with_attempt(named, attempt if isinstance(attempt, int) else 0)


def _with_attempt(rollout: str, attempt: int) -> str:
    return f"{rollout}-a{attempt}" if attempt > 0 else rollout
