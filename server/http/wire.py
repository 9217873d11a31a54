"""Bytes from and to the network: JSON in, compact JSON out.

The trajectory in a verify request is as long as the rollout was, with token ids many megabytes. Reading the
request only finds out where each top-level value begins and ends. The trajectory is parsed once, for the
verifier, and the reply repeats it by repeating the *bytes* that came, so that nothing is re-modelled and no
number changes its digits on the way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

import attrs
import msgspec

from server.errors import STATUS, ClientError, InvalidBody, NotJson
from tools.shapes import is_dict

Part = bytes | msgspec.Raw
"""A JSON value as it came: the bytes, or a window on them."""

_PARTS = msgspec.json.Decoder(dict[str, msgspec.Raw])

_TOO_DEEP = "The body is nested too deeply."


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
        msg = _TOO_DEEP
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        msg = f"The body is not JSON: {error}."
    raise NotJson(msg)


def parse_large(body: Part) -> Any:
    """Return the JSON value in `body` as `parse` does, leniently, in a third of the time and half the memory.

    Raises:
        NotJson: as `parse`.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError):  # NaN, halves of surrogate pairs, very long numbers, too
        return parse(bytes(body), lenient=True)


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`, leniently; nothing and null read as an empty one.

    Raises:
        NotJson, InvalidBody: it is none.
    """
    value = parse(body, lenient=True)
    if value is None:
        return {}
    if not is_dict(value):
        words = "Input should be a valid dictionary"
        raise InvalidBody([{"type": "dict_type", "loc": ["body"], "msg": words, "input": None}])
    return value


def split(body: Part) -> Mapping[str, Part]:
    """Return the values of the JSON object in `body` by their keys, each as it came.

    What is nested deeper is checked for its syntax at most: a value may turn out unreadable later.

    Raises:
        NotJson, InvalidBody: as `parse_object`.
    """
    try:
        return _PARTS.decode(body)
    except (msgspec.MsgspecError, RecursionError):  # as above; then each value is written anew
        return {key: dump_lenient(value) for key, value in parse_object(bytes(body)).items()}


def join(members: Mapping[str, Part]) -> list[Part]:
    """Return the JSON object with these members, in pieces that are to be put together."""
    pieces: list[Part] = []
    for key, value in members.items():
        pieces += (b"," if pieces else b"{", dump(key), b":", value)
    return [*pieces, b"}" if pieces else b"{}"]


def dump_lenient(value: Any) -> bytes:
    """Return `value`, which was in a request, as compact JSON, NaN and infinities as Python writes them.

    Raises:
        NotJson: it is too deep: what could just be read may not be writable further down the stack.
    """
    try:
        return json.dumps(value, separators=(",", ":")).encode()
    except RecursionError:
        raise NotJson(_TOO_DEEP) from None


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
    detail: Any = error.detail if isinstance(error, ClientError) else str(error)
    try:
        body = dump({"detail": detail})
    except (ValueError, RecursionError):  # what a request holds may be NaN, or too deep to be written again
        body = dump({"detail": [{**problem, "input": None} for problem in detail]})
    return Reply(STATUS[type(error)], body)


def internal_error(incident: str) -> Reply:
    """Return the reply to a request that met a bug of ours.

    Args:
        incident: the id under which the log tells what happened.
    """
    return Reply(500, dump({"detail": f"Internal Server Error (incident {incident})"}))
