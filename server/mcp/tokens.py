"""What lets an MCP client into one session: the session's id, and a key that only its seed's reply tells.

The key is made with the session and kept with its record, so a token cannot be forged, opens no other
session, and is nothing once the record is gone.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from server.sessions.registry import Sessions
    from server.sessions.session import LiveSession

HEADER = "X-NeMo-Gym-Session-Token"
URL_PATH = "/mcp"


def access(session: LiveSession, server: str) -> dict[str, Any]:
    """Return what a seed's reply says of the way in, as NeMo Gym's agents expect it.

    Args:
        session: the session that was seeded.
        server: the name under which clients shall know its tools.
    """
    headers = {HEADER: f"{session.id}.{session.key}"}
    return {"server_name": server, "url_path": URL_PATH, "transport": "http", "headers": headers}


def session_of(sessions: Sessions, token: str) -> LiveSession | None:
    """Return the session that a token lets into; None where it lets into none."""
    session_id, _, key = token.partition(".")
    session = sessions.find(session_id)
    if session is None or not hmac.compare_digest(key.encode("latin-1", "replace"), session.key.encode()):
        return None
    return session
