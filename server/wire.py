"""Bytes from and to the network: JSON in, frozen requests; values, compact JSON out.

The trajectory in a verify request is as long as the rollout was, with token ids many megabytes. It is parsed
once, for the verifier; the reply repeats it by repeating the *bytes* that came, so that nothing is
re-modelled and no number changes its digits on the way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NoReturn

import attrs

from server.errors import STATUS, ClientError, InvalidBody, NotJson
from server.receipts.receipt import request_parts, response_digest
from server.shapes import structure
from server.splice import with_member
from server.states.reference import METADATA_KEY, reference_in
from tools.shapes import is_dict


def dump(value: Any) -> bytes:
    """Return `value` as compact JSON in UTF-8, without a newline: what a model reads verbatim.

    Raises:
        TypeError, ValueError: it is not JSON (NaN and infinities are not).
    """
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair: only its escape can be written
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def parse(body: bytes, *, lenient: bool = False) -> Any:
    """Return the JSON value in `body`; nothing at all reads as null.

    Args:
        body: a request's whole body.
        lenient: accept NaN and infinities, which Python clients write into log probabilities.

    Raises:
        NotJson: it is not UTF-8, not JSON or too deep.
    """
    if not body or body.isspace():
        return None
    try:
        return json.loads(body.decode("utf-8"), parse_constant=None if lenient else _refuse_constant)
    except RecursionError:
        msg = "The body is nested too deeply."
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        msg = f"The body is not JSON: {error}."
    raise NotJson(msg)


def _refuse_constant(name: str) -> NoReturn:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


@attrs.frozen
class Reply:
    """What goes back: a status and the body's bytes, JSON always."""

    status: int
    body: bytes = attrs.field(repr=False)


def refusal(error: Exception) -> Reply:
    """Return the reply to a request that ended in one of the errors that `errors.STATUS` lists."""
    detail = error.detail if isinstance(error, ClientError) else str(error)
    return Reply(STATUS[type(error)], dump({"detail": detail}))


def internal_error(incident: str) -> Reply:
    """Return the reply to a request that met a bug of ours.

    Args:
        incident: the id under which the log tells what happened.
    """
    return Reply(500, dump({"detail": f"Internal Server Error (incident {incident})"}))


@attrs.frozen
class Row:
    """What of a dataset row decides whether two requests are about the same task.

    Digests only, one per key: a server with thousands of sessions must not keep thousands of rows. Left out
    is what agents add or change on the way (`response`, `agent_ref`, keys that begin with ``_ng_``), and
    nulls among the `responses_create_params`, which some agents send and some omit.
    """

    digests: Mapping[str, bytes] = attrs.field(repr=False)

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Row:
        """Digest the row in a request's body."""
        return cls({key: _digest(key, value) for key, value in body.items() if not _is_transient(key)})

    def differs_in(self, other: Row) -> str | None:
        """Return a key of ours that `other` has not or has otherwise; None if all of ours are the same there.

        Keys that only `other` has do not matter: agents may add some before they verify.
        """
        for key, digest in self.digests.items():
            if other.digests.get(key) != digest:
                return key
        return None


def _is_transient(key: str) -> bool:
    return key in {"response", "agent_ref"} or key.startswith("_ng_")


def _digest(key: str, value: Any) -> bytes:
    if key == "responses_create_params" and is_dict(value):
        value = {name: item for name, item in value.items() if item is not None}
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()[:16]


@attrs.frozen
class SeedRequest:
    """A parsed `/seed_session`: the task for the environment and the row's identity."""

    task: Any = attrs.field(repr=False)
    row: Row

    @classmethod
    def parse(cls, body: bytes, shape: type[Any]) -> SeedRequest:
        """Read the row in `body`.

        Args:
            body: the dataset row as JSON.
            shape: the environment's task class.

        Raises:
            NotJson, InvalidBody: see there.
        """
        row = _object(body)
        return cls(structure(row, shape), Row.of(row))


@attrs.frozen
class VerifyRequest:
    """A parsed `/verify`.

    Attributes:
        body: all of it, parsed.
        raw: all of it, as it came.
        response: the trajectory in it, whatever the agent made of it.
    """

    body: Mapping[str, Any] = attrs.field(repr=False)
    raw: bytes = attrs.field(repr=False)
    row: Row

    def check(self) -> None:
        """Find out whether this can be judged and told of at all.

        Raises:
            InvalidBody: there is no response.
            NotJson: something is nested too deeply to have a digest.
        """
        _ = self.response
        try:
            _ = self.parts, self.response_digest
        except RecursionError:
            msg = "The body is nested too deeply."
            raise NotJson(msg) from None

    @cached_property
    def parts(self) -> Mapping[str, str]:
        """A digest for each key of the body, but for the response: what a receipt says of it."""
        return request_parts(self.body)

    @cached_property
    def response_digest(self) -> str:
        """The digest of the response as it was before a reference was put into it."""
        return response_digest(self.response)

    @classmethod
    def parse(cls, raw: bytes) -> VerifyRequest:
        """Read `raw`; whether it fits the session is for the session to say.

        Raises:
            NotJson, InvalidBody: see there.
        """
        body = _object(raw)
        return cls(body, raw, Row.of(body))

    @property
    def response(self) -> Mapping[str, Any]:
        """The trajectory.

        Raises:
            InvalidBody: there is none.
        """
        response = self.body.get("response")
        if is_dict(response):
            return response
        kind, words = (
            ("missing", "Field required")
            if response is None
            else ("dict_type", "Input should be a valid dictionary")
        )
        raise InvalidBody([{"type": kind, "loc": ["body", "response"], "msg": words, "input": None}])

    def echo(self, fields: Mapping[str, Any], reference: str | None = None) -> bytes:
        """Return the reply: the body as it came, and `fields`, which win where both have a key.

        Args:
            fields: JSON values.
            reference: to the captured state; it goes into ``response.metadata``, where it stays when the
                rollout is stored.
        """
        if reference is not None and reference_in(self.response) != reference:
            self = self._with(reference)  # noqa: PLW0642  # the same request from here on
        if any(key in self.body for key in fields):
            rest = {key: value for key, value in self.body.items() if key not in fields}
            return json.dumps(rest | dict(fields), separators=(",", ":")).encode()
        opening = self.raw.rstrip()[:-1].rstrip()
        comma = b"," if self.body and fields else b""
        return opening + comma + dump(fields)[1:]

    def _with(self, reference: str) -> VerifyRequest:
        """Return the request with a reference in its response; but for that, byte by byte as it came."""
        metadata = self.response.get("metadata")
        if metadata is not None and not is_dict(metadata):
            return self  # there is no place for one
        metadata = {**(metadata or {}), METADATA_KEY: reference}
        body = {**self.body, "response": {**self.response, "metadata": metadata}}
        raw = with_member(self.raw, ("response", "metadata"), METADATA_KEY, reference)
        return attrs.evolve(self, body=body, raw=raw or json.dumps(body, separators=(",", ":")).encode())


def _object(body: bytes) -> dict[str, Any]:
    value = parse(body, lenient=True)
    if value is None:
        return {}
    if not is_dict(value):
        problem = {
            "type": "dict_type",
            "loc": ["body"],
            "msg": "Input should be a valid dictionary",
            "input": None,
        }
        raise InvalidBody([problem])
    return value
