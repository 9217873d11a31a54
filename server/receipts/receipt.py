"""Makes receipts."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from server.canonical import canonical, digest
from server.receipts.chain import call_event, head
from server.receipts.merkle import manifest, root
from server.states.reference import without_reference
from server.version import VERSION

if TYPE_CHECKING:
    from server.receipts.keys import Signer
    from server.states.packing import KeptState

FORMAT = "creche-receipt/1"

NOT_COVERED = frozenset({"response", "receipt"})
"""Keys of a reply that have no digest of their own: the one is a part by itself, the other the receipt."""


def request_parts(body: Mapping[str, Any]) -> dict[str, str]:
    """Return a digest for each key of a verify request, but for the response."""
    return {key: digest(value) for key, value in body.items() if key not in NOT_COVERED}


def response_digest(response: Any) -> str:
    """Return the digest of a response as it was before a reference was put into it."""
    return digest(without_reference(response))


def versions() -> dict[str, str]:
    """Return what the verdict's code runs on."""
    return {"creche": VERSION, "python": platform.python_version(), "kernel": platform.release()}


def message(receipt: Mapping[str, Any]) -> bytes:
    """Return what is signed: all of a receipt but its signature."""
    return canonical({key: value for key, value in receipt.items() if key != "signature"})


@attrs.frozen(kw_only=True)
class Facts:
    """What one verdict was made from, besides the server's own part.

    Attributes:
        session: the session's id; None where there never was one.
        request: a digest for each key of the verify request, but for the response.
        response: the digest of that.
        kept: what the session left behind, and the circumstances; None when there is nothing.
        state: the reference to it, where it is kept.
        fields: the reply's fields, the reward among them.
    """

    session: str | None
    request: Mapping[str, str]
    response: str
    kept: KeptState | None = None
    state: str | None = None
    fields: Mapping[str, Any] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Notary:
    """Writes receipts for one server.

    Attributes:
        signer: signs them.
        verifier: whose verdicts they are of: the environment's name, digests of its source and settings.
        versions: what it runs on.
    """

    signer: Signer
    verifier: Mapping[str, str]
    versions: Mapping[str, str] = attrs.field(factory=versions)

    def receipt(self, facts: Facts) -> dict[str, Any]:
        """Return the receipt for a verdict; the same facts give the same one."""
        kept = facts.kept
        body: dict[str, Any] = {
            "format": FORMAT,
            "session": facts.session,
            "request": dict(facts.request),
            "response": facts.response,
            **_left_behind(kept),
            "verifier": dict(self.verifier),
            "versions": dict(self.versions),
            "tier": None if kept is None else kept.tier,
            "limits": None if kept is None else dict(kept.limits),
            "outcome": facts.fields.get("failure_kind", "judged"),
            "reward": facts.fields["reward"],
            "fields": {key: digest(value) for key, value in facts.fields.items()},
            "state": facts.state,
        }
        signature = {"algorithm": self.signer.algorithm, "key": self.signer.key}
        return {**body, "signature": {**signature, "value": self.signer.sign(message(body))}}


def _left_behind(kept: KeptState | None) -> dict[str, Any]:
    if kept is None:
        return {"final_state": None, "calls": None}
    state = kept.final_state
    files = root(manifest(state))
    final_state = {
        "root": files,
        "files": len(state.files),
        "rejected": len(state.rejected),
        "ended_by": str(state.ended_by),
    }
    return {"final_state": final_state, "calls": _calls(kept, files)}


def _calls(kept: KeptState, files: str) -> dict[str, Any]:
    state = kept.final_state
    seed = {"session": kept.session, "row": dict(kept.row), "tier": kept.tier, "limits": dict(kept.limits)}
    end = {
        "final_state": files,
        "ended_by": str(state.ended_by),
        "claims": dict(state.claims),
    }
    events = [seed, *map(call_event, state.calls), end]
    left_out = sum(bool(call.left_out) for call in state.calls)
    return {"count": len(state.calls), "left_out": left_out, "chain": head(events)}
