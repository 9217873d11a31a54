"""From an exception to a reply: expected ones by the table in `errors`, all others as an incident."""

from __future__ import annotations

import secrets
from typing import Any

from server.errors import STATUS
from server.http.wire import Reply, internal_error, refusal
from server.logs import get_logger

log = get_logger("incidents")


def reply_to(error: Exception, **context: Any) -> Reply:
    """Return the reply that says what went wrong; if it was a bug, log it with an id that the reply names.

    Args:
        error: what was raised.
        context: what the log should say of where; nothing of the task.
    """
    if type(error) in STATUS:
        return refusal(error)
    incident = secrets.token_hex(4)
    log.error("incident", incident=incident, exc_info=error, **context)
    return internal_error(incident)
