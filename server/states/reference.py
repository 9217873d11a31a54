"""The reference that a stored rollout carries to the state that was captured for it."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any

from tools.shapes import is_dict

METADATA_KEY = "creche_state"
"""Where in ``response.metadata`` it is: a map of short texts that agents pass on untouched."""

_FORM = re.compile(r"1\.([0-9a-f]{64})\.([0-9a-f]{32})")


class ForgedError(Exception):
    """A reference is not one that this server has given out."""


class ReferenceSigner:
    """Makes and checks references.

    Args:
        secret: the server's. Servers with the same one take each other's references.
    """

    def __init__(self, secret: str) -> None:
        """Derive the key."""
        self._key = hashlib.sha256(b"creche state reference\0" + secret.encode()).digest()

    def reference(self, digest: str) -> str:
        """Return the reference to the state whose pack has that SHA-256, in hexadecimal."""
        return f"1.{digest}.{self._code(digest)}"

    def digest(self, reference: str) -> str:
        """Return the digest that a reference names.

        Raises:
            ForgedError: no reference of this server's reads like that.
        """
        form = _FORM.fullmatch(reference)
        if form is None or not hmac.compare_digest(form[2], self._code(form[1])):
            msg = (
                "the reference to the captured state was not given out by this server, or with another secret"
            )
            raise ForgedError(msg)
        return form[1]

    def _code(self, digest: str) -> str:
        return hmac.digest(self._key, digest.encode(), "sha256").hex()[:32]


def reference_in(response: Mapping[str, Any]) -> str | None:
    """Return the reference that a response carries, if it does."""
    metadata = response.get("metadata")
    found = metadata.get(METADATA_KEY) if is_dict(metadata) else None
    return found if isinstance(found, str) else None


def without_reference(response: Mapping[str, Any]) -> dict[str, Any]:
    """Return a response as it was before it got a reference; no metadata are as good as empty ones."""
    bare = dict(response)
    metadata = bare.pop("metadata", None)
    if is_dict(metadata):
        metadata = {key: value for key, value in metadata.items() if key != METADATA_KEY}
    if metadata:
        bare["metadata"] = metadata
    return bare
