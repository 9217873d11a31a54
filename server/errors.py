"""What a client can get wrong, what we can, and the status of each.

    ClientError
    ├── NotJson              the body is no JSON
    ├── InvalidBody          it is, but not what this route takes; `details` names each field
    ├── NoSuchTool           nothing is called that here, or not for this body
    ├── NoSuchSession        no cookie, a forged one, or a session that is long gone
    ├── SeededOtherwise      the cookie's session lives, with another task
    ├── SessionOver          the session has been verified or has ended
    ├── Unauthorised         the request lacks the token that its route asks for
    ├── TooLong              what was asked for is longer than this server sends or keeps
    └── TooManyCalls         more calls at once in one session than are kept in line
    ServerError
    ├── SessionLost          the sandbox went down under the call, through no fault of the model
    ├── Overloaded           this machine is short of something that the call needs; it was not begun
    ├── NotSeeded            no session could be had for an episode
    ├── EpisodeLost          an episode that is played by steps has no reward, through no fault of the model
    ├── NoSandbox            a sandbox was asked for by itself, and none could be had
    └── ShuttingDown         this server is stopping

Neither root is shared with the sandbox's errors: those are of a layer that knows no client. An exception that
is none of these is a bug of ours: status 500, and an id that stands in the log too.

A `/verify`, or a `/seed_session` of NeMo Gym's first generation, is never answered with a `ServerError`:
there, NeMo Gym gives up a whole run at the first status that is not 2xx. A failure of ours is a masked
rollout instead (`Failure`). An environment server (second generation) gives up one episode, and tries it
again. In the gymnasium protocol there is nothing to say it with but a status (`EpisodeLost`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs


class ClientError(Exception):
    """The request cannot be served as it is. Nothing was changed by it."""

    @property
    def detail(self) -> Any:
        """What goes into the reply's ``detail``; the model may be its reader."""
        return str(self)


class NotJson(ClientError):
    """The body is not JSON in UTF-8."""


class InvalidBody(ClientError):
    """The body is JSON of the wrong shape.

    Attributes:
        details: one entry per problem: ``type``, ``loc``, ``msg`` and ``input``.
    """

    def __init__(self, details: list[dict[str, Any]]) -> None:
        """Keep `details`, which must not be empty."""
        super().__init__(
            "; ".join(f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in details)
        )
        self.details = details

    @property
    def detail(self) -> Any:
        """The problems, one by one."""
        return self.details


class NoSuchTool(ClientError):
    """There is nothing of that name to call. Worded like any missing route, so that it tells nothing."""

    def __init__(self) -> None:
        """Take no words: all cases must read the same."""
        super().__init__("Not Found")


class NoSuchSession(ClientError):
    """The request belongs to no session of this server."""


class SeededOtherwise(ClientError):
    """A live session is never reseeded; this seed differs from the one it had."""


class SessionOver(ClientError):
    """The session takes no more calls."""


class Unauthorised(ClientError):
    """The route asks for a token, and the request has none or another."""


class TooLong(ClientError):
    """What was asked for is longer than this server sends or keeps."""


class TooManyCalls(ClientError):
    """The session has as many calls waiting as it may."""


class ServerError(Exception):
    """We failed, not the model. Such a rollout is masked when it is verified."""


class SessionLost(ServerError):
    """The sandbox went down under a call."""


class NotSeeded(ServerError):
    """An environment server asked for a session, and none could be had. It may try again."""


class EpisodeLost(ServerError):
    """An episode that is played by steps has no reward, through no fault of the model. Play it again."""


class NoSandbox(ServerError):
    """A sandbox was asked for by itself, and none could be had. Trying again may help."""


class Overloaded(ServerError):
    """The machine has no descriptors, processes or memory left for a call. Asked again, it may be answered.

    The rollout is masked all the same: nobody knows what the model made of the refusal.
    """


class ShuttingDown(ServerError):
    """The server is stopping and starts nothing new."""


class StartupError(Exception):
    """The server refuses to start; no request meets this. The message is one sentence with the remedy."""


STATUS: Mapping[type[Exception], int] = {
    NotJson: 400,
    InvalidBody: 422,
    NoSuchTool: 404,
    NoSuchSession: 404,
    SeededOtherwise: 409,
    SessionOver: 409,
    Unauthorised: 401,
    TooLong: 413,
    TooManyCalls: 429,
    SessionLost: 503,
    Overloaded: 503,
    NotSeeded: 503,
    EpisodeLost: 503,
    NoSandbox: 503,
    ShuttingDown: 503,
}
"""Which class is answered with which status. There is no second place that decides this."""


@attrs.frozen
class Failure:
    """Why a rollout must not count: in a verify reply, this stands beside a reward of 0.

    Attributes:
        kind: `session_lost`, `session_expired`, `provider_unavailable`, `provider_oom_killed`,
            `judge_failed`, `verifier_error`, or ``"creche:<kind>"``.
        reason: one sentence for the person who reads the failures; holds nothing of the task.
    """

    kind: str
    reason: str

    def fields(self) -> dict[str, Any]:
        """Return the keys that make NeMo Gym set the rollout aside and try it again, in either generation."""
        return {
            "reward": 0.0,
            "_ng_failure_class": self.kind,
            "mask_sample": True,
            "failure_kind": self.kind,
            "failure_reason": self.reason,
        }
