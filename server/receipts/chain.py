"""What happened in a session as a hash chain: each link covers all the ones before it.

The links are the seed, the calls as the server saw them, and the end. Taking one out, adding one, changing
one or swapping two gives another head.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from server.canonical import canonical
from server.states.packing import CONVERTER

if TYPE_CHECKING:
    from sandbox.observation import CallRecord


def head(events: Iterable[Any]) -> str:
    """Return the head of the chain over `events`, JSON values all, in hexadecimal."""
    link = hashlib.sha256(b"creche chain").digest()
    for event in events:
        link = hashlib.sha256(link + hashlib.sha256(canonical(event)).digest()).digest()
    return link.hex()


def call_event(call: CallRecord) -> dict[str, Any]:
    """Return a call with its observation as a JSON value."""
    event: dict[str, Any] = CONVERTER.unstructure(call)
    return event
