"""The session cookie: a random id and its signature.

NeMo Gym's agents send the cookies of several servers in one header, and replace what they hold by what the
last reply set. So the name is unique to a deployment, and every reply sets it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable

_ID_BYTES = 16
_SIGNATURE_CHARACTERS = 32
_VALUE = re.compile(rf"[0-9a-f]{{{2 * _ID_BYTES}}}\.[0-9a-f]{{{_SIGNATURE_CHARACTERS}}}")


class CookieSigner:
    """Makes and checks the cookies of one deployment.

    Args:
        secret: what they are signed with. Servers with the same secret accept each other's.
        name: the cookie's name; by default one derived from the secret.
    """

    def __init__(self, secret: str, name: str | None = None) -> None:
        """Derive the key and the name."""
        self._key = hashlib.sha256(b"creche session cookie\0" + secret.encode()).digest()
        self.name = name or "creche_" + self._mac(b"name")[:12]
        self._attributes = "; Path=/; HttpOnly; SameSite=Lax"

    def new_id(self) -> str:
        """Return a fresh session id that nobody can guess."""
        return secrets.token_hex(_ID_BYTES)

    def set_cookie(self, session_id: str) -> bytes:
        """Return the value of a Set-Cookie header that names `session_id`."""
        value = f"{self.name}={session_id}.{self._mac(session_id.encode())}{self._attributes}"
        return value.encode("ascii")

    def read(self, headers: Iterable[bytes]) -> str | None:
        """Return the session id that one of the Cookie `headers` names, or None.

        Never raises: whatever is not ours, forged or torn is as good as absent. Of several of our name the
        first good one counts.
        """
        wanted = self.name
        for header in headers:
            for pair in header.decode("latin-1").split(";"):
                name, equals, value = pair.partition("=")
                if equals and name.strip() == wanted:
                    session_id = self._checked(value.strip().strip('"'))
                    if session_id is not None:
                        return session_id
        return None

    def _checked(self, value: str) -> str | None:
        if not _VALUE.fullmatch(value):
            return None
        session_id, _, signature = value.partition(".")
        return session_id if hmac.compare_digest(signature, self._mac(session_id.encode())) else None

    def _mac(self, message: bytes) -> str:
        return hmac.digest(self._key, message, "sha256").hex()[:_SIGNATURE_CHARACTERS]
