"""What `/step` is asked: the row, and one response of the model to it (NeMo Gym's gymnasium protocol)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import attrs

from server.environment import text_of
from server.errors import InvalidBody
from server.http.pieces import parse_in_pieces
from server.http.requests import Row, VerifyRequest
from server.http.shapes import MAX_PROBLEMS
from server.http.wire import Part, dump_lenient, join, split
from tools.shapes import is_dict, is_list

STEP_ID = "_ng_step_request_id"
"""Where NeMo Gym's agent names a step, so that one that is sent again is not taken again."""

_MAX_STEP_ID = 128

_FOR_TRAINING = frozenset(
    {"prompt_token_ids", "generation_token_ids", "generation_log_probs", "routed_experts"}
)
"""Keys of an item that no verifier reads. The agent keeps them itself; each repeats the whole prompt, so a
server that kept them would hold the square of a trajectory."""


@attrs.frozen
class StepCall:
    """A tool call in a response."""

    name: str
    id: str
    arguments: str


@attrs.frozen
class StepRequest:
    """A parsed `/step`. What it does with a long body takes long: see `size`.

    Attributes:
        row: its identity.
        name: the agent's id of the step, if it gave one.
        calls: the tools that the model calls, in order.
        text: what it says.
        items: the response's output as JSON, item by item, without what only training needs.
        size: bytes of all of it.
    """

    row: Row
    name: str | None
    calls: tuple[StepCall, ...]
    text: str = attrs.field(repr=False)
    items: tuple[bytes, ...] = attrs.field(repr=False)
    size: int
    _values: Mapping[str, Part] = attrs.field(alias="values", repr=False)

    @classmethod
    def parse(cls, body: bytes) -> StepRequest:
        """Read `body`.

        Raises:
            NotJson, InvalidBody: see there.
        """
        values = split(body)
        row = {key: parse_in_pieces(value) for key, value in values.items() if key != "response"}
        output = _output_of(parse_in_pieces(values.get("response", b"null")))
        problems = list(islice(_problems(output), MAX_PROBLEMS))
        name = row.pop(STEP_ID, None)
        if name is not None and not (isinstance(name, str) and 0 < len(name) <= _MAX_STEP_ID):
            wanted = f"a string of 1 to {_MAX_STEP_ID} characters"
            problems.append(_problem("string_type", (STEP_ID,), wanted))
        if problems:
            raise InvalidBody(problems)
        return cls(
            row=Row.of(row),
            name=name,
            calls=tuple(
                StepCall(item["name"], item["call_id"], item["arguments"])
                for item in output
                if item.get("type") == "function_call"
            ),
            text="".join(text_of(item.get("content")) for item in output if item.get("type") == "message"),
            items=tuple(
                dump_lenient({key: value for key, value in item.items() if key not in _FOR_TRAINING})
                for item in output
            ),
            size=len(body),
            values={key: value for key, value in values.items() if key != STEP_ID},
        )

    def verification(self, items: Sequence[bytes]) -> VerifyRequest:
        """Return the verify of a rollout that this is the last step of, checked.

        Args:
            items: the output of the whole rollout, which stands in this response in place of its own.

        Raises:
            NotJson: see `VerifyRequest.check`.
        """
        response = {**split(self._values["response"]), "output": b"[" + b",".join(items) + b"]"}
        request = VerifyRequest.parse(b"".join(join({**self._values, "response": b"".join(join(response))})))
        request.check()
        return request


def _output_of(response: Any) -> list[dict[str, Any]]:
    if not is_dict(response):
        kind = "missing" if response is None else "dict_type"
        raise InvalidBody([_problem(kind, ("response",), "an object")])
    output = response.get("output")
    if not is_list(output):
        kind = "missing" if output is None else "list_type"
        raise InvalidBody([_problem(kind, ("response", "output"), "a list")])
    wrong = list(islice((number for number, item in enumerate(output) if not is_dict(item)), MAX_PROBLEMS))
    if wrong:
        raise InvalidBody(
            [_problem("dict_type", ("response", "output", number), "an object") for number in wrong]
        )
    return [item for item in output if is_dict(item)]


def _problems(output: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Find the calls that cannot be made, or whose answer could not be told of."""
    for number, item in enumerate(output):
        if item.get("type") != "function_call":
            continue
        for key in ("name", "call_id", "arguments"):
            if not isinstance(item.get(key), str):
                kind = "string_type" if key in item else "missing"
                yield _problem(kind, ("response", "output", number, key), "a string")


def _problem(kind: str, loc: tuple[str | int, ...], wanted: str) -> dict[str, Any]:
    words = "Field required" if kind == "missing" else f"Input should be {wanted}"
    return {"type": kind, "loc": ["body", *loc], "msg": words, "input": None}
