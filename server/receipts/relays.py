"""What relays of rollouts do to ``responses_create_params``: they write defaults out.

NeMo Gym's environment server reads a verify reply into its own types and writes it anew. The prompt then says
of each message that it is one, and the settings name defaults that nobody had set. A receipt speaks of the
request as it was, so a check takes such additions off again, in every combination, before it calls the
prompt a changed one. Nothing else about it may differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, combinations
from typing import Any

from tools.shapes import is_dict, is_list

_DEFAULTS: Mapping[str, Any] = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}


def before_relays(params: Any) -> Iterator[Any]:
    """Go through what `params` may have been before a relay wrote its defaults out."""
    if not is_dict(params):
        return
    written = [name for name, value in _DEFAULTS.items() if name in params and params[name] == value]
    for names in chain.from_iterable(combinations(written, count) for count in range(len(written) + 1)):
        bare = {name: value for name, value in params.items() if name not in names}
        for untyped in (bare, {**bare, "input": _untyped(bare.get("input"))}):
            yield untyped
            yield {name: _whole(value) for name, value in untyped.items()}


def _untyped(turns: Any) -> Any:
    """Return a prompt without the types of its messages."""
    if not is_list(turns):
        return turns
    return [
        {key: value for key, value in turn.items() if key != "type"}
        if is_dict(turn) and turn.get("type") == "message"
        else turn
        for turn in turns
    ]


def _whole(value: Any) -> Any:
    """Return a setting as a whole number if it is one: a temperature of 1 becomes 1.0 on the way."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
