"""Letting an environment prepare a session before any code of the model runs. That is a user's code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from sandbox.errors import Gone, Starved
from sandbox.observation import Ending
from server.environment import Session
from server.errors import Failure
from server.logs import get_logger
from server.sessions.files import SeedError

if TYPE_CHECKING:
    from sandbox.box import Box
    from server.environment import Environment
    from server.sessions.session import LiveSession

log = get_logger("preparing")


async def prepare(
    environment: Environment[Any], session: LiveSession, box: Box, deadline: float
) -> Failure | None:
    """Let `environment` say what the session may use and fill its `box`; return why it could not, if so.

    Never raises for what the environment or the sandbox does.
    """
    try:
        allowed = environment.allowed_tools(session.task)
        session.allowed = None if allowed is None else frozenset(allowed)
        with trio.move_on_at(deadline) as patience:
            await environment.seed_session(Session(session.id, box.limits, box), session.task)
    except Gone as error:
        kind = "session_lost" if error.ending == Ending.CAGE_LOST else "creche:seed_failed"
        return Failure(kind, f"{error} while it was seeded")
    except Starved as error:
        return Failure("provider_unavailable", str(error))
    except SeedError as error:
        return Failure("creche:seed_failed", str(error))
    except Exception as error:  # whatever a user's code raises is a failure of this session only
        log.exception("seed_session raised", session=session.id, environment=environment.name)
        return Failure("creche:seed_failed", f"seed_session raised {type(error).__name__}")
    if patience.cancelled_caught:
        seconds = session.limits.session_seconds
        return Failure("creche:seed_failed", f"seeding took longer than {seconds:g} s")
    return None
