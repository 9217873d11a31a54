"""Checks a receipt, and the verify reply around it, part by part."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from server.canonical import digest
from server.receipts.keys import Checker
from server.receipts.receipt import FORMAT, NOT_COVERED, message, response_digest
from server.receipts.relays import before_relays
from server.states.reference import reference_in
from tools.shapes import is_dict

_NULL = digest(None)
"""Of a null, which is as good as an absence: relays of rollouts drop and add them."""


_FALSE = digest(False)  # noqa: FBT003  # the value itself
"""Of a false: where nothing stood, agents write their defaults (``"mask_sample": false``)."""


class Word(enum.StrEnum):
    """What a check says of a part.

    `RELAYED`: it is the same but for defaults that a relay has written out.
    """

    AGREES = "agrees"
    CHANGED = "changed"
    MISSING = "missing"
    ADDED = "added"
    RELAYED = "relayed"
    UNCHECKED = "unchecked"


@attrs.frozen
class Finding:
    """One part of a receipt or of the reply around it, and what the check says of it."""

    part: str
    word: Word
    detail: str = ""


def receipt_in(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the receipt that a verify reply or a stored rollout carries, or that `value` is itself."""
    if value.get("format") == FORMAT:
        return value
    found = value.get("receipt")
    return found if is_dict(found) and found.get("format") == FORMAT else None


def check(value: Mapping[str, Any], checkers: Sequence[Checker]) -> list[Finding]:
    """Check a receipt, alone or with the reply around it.

    Args:
        value: a verify reply, a line of stored rollouts, or a bare receipt.
        checkers: the keys at hand.

    Returns:
        A finding for each part. All is well when each of them agrees, or was only added or relayed.
    """
    receipt = receipt_in(value)
    if receipt is None:
        return [Finding("receipt", Word.MISSING)]
    findings = [_signature(receipt, checkers)]
    if receipt is not value:
        findings += _around(value, receipt)
    return findings


def _signature(receipt: Mapping[str, Any], checkers: Sequence[Checker]) -> Finding:
    signature = receipt.get("signature")
    if not is_dict(signature) or not isinstance(signature.get("value"), str):
        return Finding("signature", Word.MISSING)
    for checker in checkers:
        if (checker.algorithm, checker.key) == (signature.get("algorithm"), signature.get("key")):
            agrees = set(signature) == {"algorithm", "key", "value"}
            agrees = agrees and checker.agrees(message(receipt), signature["value"])
            return Finding("signature", Word.AGREES if agrees else Word.CHANGED)
    detail = f"made with the {signature.get('algorithm')} key {signature.get('key')}, which is not at hand"
    return Finding("signature", Word.UNCHECKED, detail)


def _around(value: Mapping[str, Any], receipt: Mapping[str, Any]) -> list[Finding]:
    """Compare the reply's parts with what the receipt says of them."""
    request, fields = _table(receipt, "request"), _table(receipt, "fields")
    expected = {f"request.{key}": code for key, code in request.items() if key not in fields}
    expected |= fields
    names = {key: key if key in fields else f"request.{key}" for key in value if key not in NOT_COVERED}
    found = {part: digest(value[key]) for key, part in names.items()}
    findings = [_compared(part, code, found.get(part)) for part, code in expected.items()]
    findings = [_relayed(finding, expected, value) for finding in findings]
    findings += [
        Finding(part, Word.ADDED)
        for part, code in found.items()
        if part not in expected and code not in (_NULL, _FALSE)
    ]
    response = value.get("response")
    if not is_dict(response):
        return [*findings, Finding("response", Word.MISSING)]
    findings.append(_compared("response", receipt.get("response"), response_digest(response)))
    state, reference = receipt.get("state"), reference_in(response)
    if state is not None or reference is not None:
        findings.append(Finding("response.metadata", Word.AGREES if state == reference else Word.CHANGED))
    return findings


def _relayed(finding: Finding, expected: Mapping[str, Any], value: Mapping[str, Any]) -> Finding:
    """Return the finding of a prompt that looks changed, which a relay's defaults may explain."""
    if (finding.part, finding.word) != (f"request.{_PROMPT}", Word.CHANGED):
        return finding
    if any(digest(params) == expected[finding.part] for params in before_relays(value[_PROMPT])):
        return attrs.evolve(finding, word=Word.RELAYED)
    return finding


_PROMPT = "responses_create_params"


def _table(receipt: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = receipt.get(name)
    return table if is_dict(table) else {}


def _compared(part: str, expected: Any, found: Any) -> Finding:
    if found is None and expected != _NULL:
        return Finding(part, Word.MISSING)
    found = found or _NULL
    return Finding(part, Word.AGREES if found == expected else Word.CHANGED)
