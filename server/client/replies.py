"""What a server answers, as values; and what can go wrong on the way to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import attrs


def as_object(value: object) -> Mapping[str, Any]:
    """Return a JSON value if it is an object, and an empty one otherwise."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


class Refused(Exception):
    """The server did not do what it was asked.

    Attributes:
        status: 4xx when the request was wrong, 5xx when the server failed.
        text: the reply's body: what a model would be shown.
        detail: the reason in it: a sentence, or a list of the body's problems.
    """

    def __init__(self, status: int, text: str, detail: Any) -> None:
        """Keep all three; the message is the detail."""
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.text = text
        self.detail = detail


class Unreachable(Exception):
    """The connection broke, and broke again, for longer than the client's patience lasted."""


@attrs.frozen
class CallReply:
    """The reply to a tool call.

    Attributes:
        text: the body as it came: what the model is to read.
        body: the same, parsed.
    """

    text: str
    body: Any = attrs.field(eq=False)

    @property
    def outcome(self) -> str:
        """How the call ended: ``"ok"``, ``"error"``, …; empty where a tool says it otherwise."""
        return str(self.get("outcome", ""))

    @property
    def stdout(self) -> str:
        """What it printed."""
        return str(self.get("stdout", ""))

    @property
    def stderr(self) -> str:
        """What it printed to the other stream."""
        return str(self.get("stderr", ""))

    @property
    def result(self) -> Any:
        """What it returned."""
        return self.get("result")

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key of the body, if the body is an object and has it."""
        return as_object(self.body).get(key, default)


@attrs.frozen
class Verdict:
    """The reply to a verification.

    Attributes:
        reward: what the rollout was worth.
        is_masked: whether it must not count, because the server failed it.
        failure_kind: why it is masked; empty if it is not.
        failure_reason: the same in a sentence.
        body: all of the reply: the request again, and the verifier's fields.
    """

    reward: float
    is_masked: bool
    failure_kind: str
    failure_reason: str
    body: Mapping[str, Any] = attrs.field(repr=False, eq=False)
