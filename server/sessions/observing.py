"""Asking an environment what it says next, in a session that is played by steps. That is a user's code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import trio

from sandbox.bare import bare_exceptions
from sandbox.errors import Gone
from server.environment import Session
from server.errors import EpisodeLost
from server.logs import get_logger

if TYPE_CHECKING:
    from server.environment import Environment
    from server.sessions.session import LiveSession

log = get_logger("observing")


async def observe(
    environment: Environment[Any], session: LiveSession, said: Sequence[str], seconds: float
) -> str | None:
    """Return what `Environment.observe` says; None also when the session ends first: its verdict says why.

    Args:
        environment: the one that is asked.
        session: the one that it is asked about.
        said: what the model has said.
        seconds: how long it may take.

    Raises:
        EpisodeLost: it raised, took too long, or said what is no text. The session is as it was.
    """
    try:
        with trio.fail_after(seconds), bare_exceptions():
            told = await _ask(environment, session, said)
    except Gone:
        return None
    except trio.TooSlowError:
        msg = f"observe took longer than {seconds:g} s"
    except Exception as error:  # whatever a user's code raises is a failure of this session only
        log.exception("observe raised", session=session.id, environment=environment.name)
        msg = f"observe raised {type(error).__name__}"
    else:
        if told is None or isinstance(told, str):
            return told
        msg = f"observe returned {type(told).__name__} and not str"
    raise EpisodeLost(msg)


async def _ask(environment: Environment[Any], session: LiveSession, said: Sequence[str]) -> Any:
    if session.box is None:
        return None
    view = Session(session.id, session.limits, session.box)
    told: Any = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_when, session.over, nursery.cancel_scope)
        told = await environment.observe(view, session.task, said)
        nursery.cancel_scope.cancel()
    return told


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
