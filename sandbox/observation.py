"""What came of a call: outcomes, observations, and the log that is kept of them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import attrs


class Outcome(enum.StrEnum):
    """How a call ended, as far as the *guest* is concerned. None of these is ever our failure."""

    OK = "ok"
    ERROR = "error"
    INVALID_ARGUMENTS = "invalid_arguments"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    OUTPUT_LIMIT = "output_limit"
    KILLED = "killed"
    PROTOCOL_VIOLATION = "protocol_violation"


class Ending(enum.StrEnum):
    """By which road a sandbox ended."""

    FINISHED = "finished"
    CLOSED = "closed"
    SESSION_DEADLINE = "session_deadline"
    IDLE_DEADLINE = "idle_deadline"
    OUT_OF_MEMORY = "out_of_memory"
    PROTOCOL_VIOLATION = "protocol_violation"
    KILLED = "killed"
    CAGE_LOST = "cage_lost"

    @property
    def is_ours(self) -> bool:
        """Whether the guest had no part in it, so that the rollout must not be counted."""
        return self is Ending.CAGE_LOST


@attrs.frozen(kw_only=True)
class Observation:
    """What one call brought back.

    Attributes:
        outcome: how it ended.
        value: the JSON value that the function returned; None when it did not return.
        error: ``"TypeName: message"`` when the function raised, or why it did not return.
        stdout: what the lane printed during the call, its head and its tail when it was too much.
        stderr: the same of the other stream.
        truncated: names of the streams of which only head and tail are there.
        interpreter_reset: the lane's process was replaced; its state is lost, the session's files are kept.
    """

    outcome: Outcome
    value: Any = None
    error: str | None = None
    stdout: str = ""
    stderr: str = ""
    truncated: tuple[str, ...] = ()
    interpreter_reset: bool = False


@attrs.frozen
class CallRecord:
    """One call as the server saw it: not what the guest says of it.

    Attributes:
        tool: its name.
        arguments: what it was given.
        observation: what it brought back.
        left_out: what the log had no room for, by its name here or in the observation, and its digest
            (`sandbox.call_log.digest`). In its place stands what means nothing: ``{}``, None or ``""``.
    """

    tool: str
    arguments: Mapping[str, Any]
    observation: Observation
    left_out: Mapping[str, str] = attrs.field(factory=dict[str, str])
