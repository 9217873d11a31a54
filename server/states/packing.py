"""A final state, and what must be known with it to judge it again, as bytes and back.

A pack is a line of JSON and then the captured files' bytes, one after the other. The same state of the same
session always gives the same pack.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import attrs
import cattrs

from sandbox.final_state import CapturedFile, FinalState

CONVERTER = cattrs.Converter()
"""Of trusted data of our own, both ways. What comes from outside goes through `server.http.shapes`."""

_FORMAT = "creche-state/1"


class DamagedError(Exception):
    """A pack is not what was packed."""


@attrs.frozen(kw_only=True)
class KeptState:
    """What a session left behind, and the circumstances.

    Attributes:
        session: its id.
        row: the row that it was seeded with, as `server.http.requests.Row` identifies it, in hexadecimal.
        tier: the isolation that it ran in.
        limits: the bounds that it had.
        final_state: what is judged.
    """

    session: str
    row: Mapping[str, str]
    tier: str
    limits: Mapping[str, Any]
    final_state: FinalState = attrs.field(repr=False)


def pack(kept: KeptState) -> bytes:
    """Return `kept` as bytes."""
    files = sorted(kept.final_state.files.items())
    header: dict[str, Any] = {
        "format": _FORMAT,
        "kept": CONVERTER.unstructure(
            attrs.evolve(kept, final_state=attrs.evolve(kept.final_state, files={}))
        ),
        "files": [[path, len(captured.data)] for path, captured in files],
    }
    # Not the canonical spelling: what a tool answered keeps its nulls and the order of its keys.
    line = json.dumps(header, separators=(",", ":")).encode("ascii")
    return b"".join((line, b"\n", *(captured.data for _, captured in files)))


def unpack(data: bytes) -> KeptState:
    """Return what was packed.

    Raises:
        DamagedError: it is no pack, or one of another version.
    """
    line, _, rest = data.partition(b"\n")
    try:
        header = json.loads(line)
        if header["format"] != _FORMAT:
            msg = f"it has the format {header['format']!r} and not {_FORMAT!r}"
            raise DamagedError(msg)
        kept = CONVERTER.structure(header["kept"], KeptState)
        files: dict[str, CapturedFile] = {}
        at = 0
        for path, size in header["files"]:
            content = rest[at : at + size]
            files[path] = CapturedFile(content, hashlib.sha256(content).hexdigest())
            at += size
    except (ValueError, KeyError, TypeError, cattrs.BaseValidationError) as error:
        msg = f"it cannot be read: {type(error).__name__}"
        raise DamagedError(msg) from error
    return attrs.evolve(kept, final_state=attrs.evolve(kept.final_state, files=files))
