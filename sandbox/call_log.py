"""The log of a session's calls, within a number of bytes.

An agent may make thousands of calls, and each may print as much as is kept of a stream. What does not fit is
left out, and the record says so, with a digest of it: first what calls brought back, the oldest first, and
only when that is all gone the arguments of further calls. Names and outcomes are always kept; what has no
room even for those is full.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from typing import Any

import attrs

from sandbox.observation import CallRecord, Observation

RECORD_BYTES = 1024
"""What a call costs besides its arguments and what it brought back, from above."""

_OUTPUTS = ("value", "error", "stdout", "stderr")


@attrs.define(eq=False)
class CallLog:
    """The calls so far.

    Attributes:
        records: in order.
    """

    _most_bytes: int
    records: list[CallRecord] = attrs.field(factory=list[CallRecord])
    _fixed_bytes: int = 0
    _output_bytes: list[int] = attrs.field(factory=list[int])
    _outputs_bytes: int = 0
    _stripped: int = 0

    @property
    def is_full(self) -> bool:
        """Whether not even the name of one more call has room."""
        return self._fixed_bytes + RECORD_BYTES > self._most_bytes

    @property
    def size(self) -> int:
        """How many bytes of memory it takes, about."""
        return self._fixed_bytes + self._outputs_bytes

    def add(self, tool: str, arguments: Mapping[str, Any], observation: Observation) -> None:
        """Note a call. One that finds the log full is noted all the same, without arguments and outputs."""
        record = CallRecord(tool, arguments, observation)
        self._fixed_bytes += RECORD_BYTES
        room = self._most_bytes - self._fixed_bytes
        size = _memory_of(arguments)
        if size <= room:
            self._fixed_bytes += size
            room -= size
        else:
            left_out = {"arguments": digest(arguments)}
            record = attrs.evolve(record, arguments={}, left_out=left_out)
        size = sum(_memory_of(getattr(observation, name)) for name in _OUTPUTS)
        if size > room:
            record, size = _without_outputs(record), 0
        self.records.append(record)
        self._output_bytes.append(size)
        self._outputs_bytes += size
        while self.size > self._most_bytes and self._stripped < len(self.records):
            self._strip(self._stripped)
            self._stripped += 1

    def _strip(self, index: int) -> None:
        self.records[index] = _without_outputs(self.records[index])
        self._outputs_bytes -= self._output_bytes[index]
        self._output_bytes[index] = 0


def digest(value: Any) -> str:
    """Return the SHA-256 of a value's JSON, with sorted keys, without blanks, in ASCII."""
    spelled = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(spelled.encode("ascii")).hexdigest()


def _without_outputs(record: CallRecord) -> CallRecord:
    seen = record.observation
    gone = {name: digest(found) for name in _OUTPUTS if (found := getattr(seen, name)) not in (None, "")}
    bare = attrs.evolve(seen, value=None, error=None, stdout="", stderr="")
    return attrs.evolve(record, observation=bare, left_out={**record.left_out, **gone})


def _memory_of(value: Any) -> int:
    """Return how much memory a JSON value takes, each of its parts counted for itself."""
    total = 0
    left = [value]
    while left:
        each = left.pop()
        total += sys.getsizeof(each)
        if isinstance(each, dict):
            left += each
            left += each.values()
        elif isinstance(each, (list, tuple)):
            left += each
    return total
