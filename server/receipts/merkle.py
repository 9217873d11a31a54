"""The files of a final state as a Merkle tree, of which a receipt carries the root.

Leaves are the captured files in order of path, then what was not captured, then what was claimed. Leaves and
inner nodes are hashed apart (RFC 6962's way), so that neither can be passed off as the other, and every
length that matters is part of what is hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from server.canonical import canonical

if TYPE_CHECKING:
    from sandbox.final_state import FinalState

_LEAF, _NODE = b"\x00", b"\x01"


def manifest(state: FinalState) -> list[list[str | int]]:
    """Return the leaves.

    ``["file", path, size, sha256]``, then ``["rejected", path, reason]``, then ``["claim", name, text]``.
    """
    files: list[list[str | int]] = [
        ["file", path, len(captured.data), captured.sha256] for path, captured in sorted(state.files.items())
    ]
    rejected = sorted((each.path, each.reason) for each in state.rejected)
    claims: list[list[str | int]] = [["claim", *each] for each in sorted(state.claims.items())]
    return files + [["rejected", *each] for each in rejected] + claims


def root(leaves: Sequence[Sequence[str | int]]) -> str:
    """Return the root over `leaves`, in hexadecimal; of none, the digest of nothing."""
    nodes = [hashlib.sha256(_LEAF + canonical(list(leaf))).digest() for leaf in leaves]
    return _root(nodes).hex()


def _root(nodes: Sequence[bytes]) -> bytes:
    """Return the root: the left subtree is the largest full one that leaves something for the right."""
    if not nodes:
        return hashlib.sha256().digest()
    if len(nodes) == 1:
        return nodes[0]
    split = 1 << (len(nodes) - 1).bit_length() - 1
    return hashlib.sha256(_NODE + _root(nodes[:split]) + _root(nodes[split:])).digest()
