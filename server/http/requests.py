"""What the routes of the protocol are asked for: bodies, parsed into frozen requests.

Both generations of NeMo Gym's protocol end up in the same classes: in the first the body of a seed *is* the
dataset row, in the second it is an envelope around it (`episodes`). Which one it is, the key
``resources_session_id`` tells.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import attrs

from server.errors import InvalidBody, NotJson
from server.http.pieces import parse_in_pieces, spell_members
from server.http.shapes import structure
from server.http.wire import Part, dump, dump_lenient, join, parse_large, parse_object, split
from server.receipts.receipt import request_parts
from server.sessions.episodes import CloseEnvelope, Episode, SeedEnvelope, rollout_of
from server.states.reference import METADATA_KEY, reference_in, without_reference
from tools.shapes import is_dict

_TOO_DEEP = "The body is nested too deeply."


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
        """Digest the row in a request's body.

        Raises:
            NotJson: something is nested too deeply to have a digest, though it could be read.
        """
        try:
            return cls({key: _digest(key, value) for key, value in body.items() if not _is_transient(key)})
        except RecursionError:
            raise NotJson(_TOO_DEEP) from None

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
    """A parsed `/seed_session`: the task for the environment and the row's identity.

    Attributes:
        task: the row as the environment's task class.
        row: its identity.
        episode: whose session it is, where an environment server says so.
        rollout: NeMo Gym's id of the rollout, if it has one: for the log.
    """

    task: Any = attrs.field(repr=False)
    row: Row
    episode: Episode | None = None
    rollout: str | None = None

    @classmethod
    def parse(cls, body: bytes, shape: type[Any], rollout: str | None = None) -> SeedRequest:
        """Read the row in `body`, in whichever generation of the protocol.

        Args:
            body: the dataset row as JSON, or an envelope around it.
            shape: the environment's task class.
            rollout: the rollout's id, if the path carried one.

        Raises:
            NotJson, InvalidBody: see there.
        """
        row = parse_object(body)
        if "resources_session_id" not in row:
            return cls(structure(row, shape), Row.of(row), rollout=rollout or rollout_of(row))
        envelope = structure(row, SeedEnvelope)
        task = structure(envelope.task_data, shape, ("body", "task_data"))
        episode = envelope.episode
        return cls(task, Row.of(envelope.task_data), episode, rollout or episode.attempt)


@attrs.frozen
class CloseRequest:
    """A parsed `/close_session`: the episode whose session it is, or the row that was seeded."""

    row: Row
    episode: Episode | None = None

    @classmethod
    def parse(cls, body: bytes) -> CloseRequest:
        """Read `body`.

        Raises:
            NotJson, InvalidBody: see there.
        """
        value = parse_object(body)
        if "resources_session_id" not in value:
            return cls(Row.of(value))
        return cls(Row.of({}), structure(value, CloseEnvelope).episode)

    def shows(self, row: Row, episode: Episode | None) -> bool:
        """Whether it comes from whoever seeded the session of that row and episode."""
        if episode is not None or self.episode is not None:
            return episode == self.episode
        return row.differs_in(self.row) is None


@attrs.frozen
class VerifyRequest:
    """A parsed `/verify`. What it does with a long body takes long: see `size`.

    Attributes:
        body: all of it but the response, parsed.
        row: its identity.
        size: bytes of all of it.
    """

    body: Mapping[str, Any] = attrs.field(repr=False)
    row: Row
    size: int
    _values: Mapping[str, Part] = attrs.field(alias="values", repr=False)

    @classmethod
    def parse(cls, raw: bytes) -> VerifyRequest:
        """Read `raw`; whether it fits the session is for the session to say.

        Raises:
            NotJson, InvalidBody: see there.
        """
        values = split(raw)
        body = {key: parse_in_pieces(value) for key, value in values.items() if key != "response"}
        return cls(body, Row.of(body), len(raw), values)

    def check(self) -> None:
        """Find out whether this can be judged and told of at all.

        Raises:
            InvalidBody: there is no response.
            NotJson: it cannot be read, or something is nested too deeply to have a digest.
        """
        try:
            _ = self.parts, self.response_digest
        except RecursionError:
            raise NotJson(_TOO_DEEP) from None

    @cached_property
    def parts(self) -> Mapping[str, str]:
        """A digest for each key of the body, but for the response: what a receipt says of it."""
        return request_parts(self.body)

    @cached_property
    def response_digest(self) -> str:
        """The digest of the response as it was before a reference was put into it."""
        bare = without_reference({"metadata": self._metadata})
        members = {key: value for key, value in self._response.items() if key != "metadata"}
        members |= {key: dump_lenient(value) for key, value in bare.items()}
        code = hashlib.sha256()
        for piece in spell_members(members):
            code.update(piece)
        return code.hexdigest()

    @property
    def reference(self) -> str | None:
        """The reference to a captured state that the response carries, if it does."""
        return reference_in({"metadata": self._metadata})

    @property
    def response(self) -> Mapping[str, Any]:
        """The trajectory, made anew each time: it may be large, and is not to be kept longer than needed.

        Raises:
            NotJson, InvalidBody: it cannot be read, or there is none.
        """
        return {key: parse_in_pieces(value) for key, value in self._response.items()}

    @cached_property
    def _response(self) -> Mapping[str, Part]:
        """The members of the response, as they came."""
        text = self._values.get("response", b"null")
        if bytes(memoryview(text)[:1]) == b"{":
            return split(text)
        kind, words = (
            ("missing", "Field required")
            if parse_large(text) is None
            else ("dict_type", "Input should be a valid dictionary")
        )
        raise InvalidBody([{"type": kind, "loc": ["body", "response"], "msg": words, "input": None}])

    @property
    def _metadata(self) -> Any:
        return parse_large(self._response.get("metadata", b"null"))

    def echo(self, fields: Mapping[str, Any], reference: str | None = None) -> bytes:
        """Return the reply: the body's values as they came, and `fields`, which win where both have a key.

        Args:
            fields: JSON values.
            reference: to the captured state; it goes into ``response.metadata``, where it stays when the
                rollout is stored.
        """
        pieces: list[Part] = []
        for key, value in self._values.items():
            if key not in fields:
                told = self._response_with(reference) if key == "response" and reference else [value]
                pieces += (b"," if pieces else b"{", dump(key), b":", *told)
        opening = b"" if pieces else b"{"
        return b"".join((*pieces, b"," if pieces and fields else opening, dump(fields)[1:]))

    def _response_with(self, reference: str) -> list[Part]:
        """Return the response with a reference in it, in pieces; all its other values are as they came."""
        members, metadata = self._response, self._metadata
        if metadata is not None and not is_dict(metadata):
            return join(members)  # there is no place for one
        kept: dict[str, Part] = {} if metadata is None else dict(split(members["metadata"]))
        kept[METADATA_KEY] = dump(reference)
        return join({**members, "metadata": b"".join(join(kept))})
