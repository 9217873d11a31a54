"""What a tool call is answered: with its observation, or with the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import trio

from sandbox.errors import Gone, Starved
from sandbox.frames import FrameError
from sandbox.observation import Ending
from server.errors import (
    Failure,
    InvalidBody,
    NoSuchSession,
    Overloaded,
    SessionLost,
    SessionOver,
    ShuttingDown,
    TooManyCalls,
)
from server.http.incidents import reply_to
from server.http.wire import Reply, dump, refusal
from server.logs import get_logger

if TYPE_CHECKING:
    from sandbox.box import Box
    from server.environment import Environment

log = get_logger("answers")

MAX_CALLS = 32
"""Calls at once in one session. Agents send one at a time; this only bounds what a broken one can pile up."""

_LOST = "The sandbox of this session was lost through no fault of yours. The session cannot be continued."
_LOG_FULL = "This session has made as many calls as its log can hold. It takes no more, but can be verified."
OVERLOADED = "The server is short of resources, through no fault of yours. Try the same again in a moment."


def demand_room(box: Box, calling: int) -> None:
    """See that a session may have one more call than the `calling` that it has in progress.

    Raises:
        TooManyCalls: there are too many.
        SessionOver: its log has no room for one more.
    """
    if calling >= MAX_CALLS:
        msg = f"This session has {MAX_CALLS} calls in progress already. Wait for one of them."
        raise TooManyCalls(msg)
    if box.is_log_full:
        raise SessionOver(_LOG_FULL)


async def answer(
    environment: Environment[Any], box: Box, session: str, tool: str, arguments: Mapping[str, Any]
) -> Reply | None:
    """Have a tool run and return the reply to its call; None when the sandbox had ended before.

    Never raises for what a tool, an environment's `reply` or the sandbox does: it concerns this one call.

    Raises:
        Overloaded: see there. The session lives on.
    """
    started = trio.current_time()
    try:
        observation = await box.call(tool, arguments)
        body = dump(environment.reply(tool, observation))
    except Gone as error:
        return refusal(SessionLost(_LOST)) if error.ending == Ending.CAGE_LOST else None
    except Starved as error:
        log.warning("call refused", session=session, tool=tool, reason=str(error))
        raise Overloaded(OVERLOADED) from None
    except FrameError:
        return refusal(arguments_too_long())
    except Exception as error:  # noqa: BLE001  # an environment's `reply`, or a bug: this call's only
        return reply_to(error, session=session, tool=tool)
    milliseconds = round(1000 * (trio.current_time() - started), 1)
    log.debug("call", session=session, tool=tool, outcome=str(observation.outcome), milliseconds=milliseconds)
    return Reply(200, body)


def arguments_too_long() -> InvalidBody:
    """Return the error for arguments that no session can be sent."""
    problem = {"type": "too_long", "loc": ["body"], "msg": "The arguments are too long", "input": None}
    return InvalidBody([problem])


def why_not(ending: Ending | None, failure: Failure | None, *, is_stopping: bool) -> Exception:
    """Return the error that tells a caller, who may be a model, why a session takes no calls.

    Args:
        ending: the road by which it ended, if it had one.
        failure: why its rollout will be masked, if it will.
        is_stopping: whether the server is stopping.
    """
    if is_stopping:
        return ShuttingDown("The server is shutting down. This session cannot be continued.")
    if ending is Ending.IDLE_DEADLINE:
        return NoSuchSession("This session has expired: nothing was asked of it for too long.")
    if failure is not None or ending is Ending.CAGE_LOST:
        return SessionLost(_LOST)
    if ending is Ending.FINISHED:
        return SessionOver("session finished: it has been verified and takes no more calls.")
    return SessionOver(f"session over ({ending}): it takes no more calls.")
