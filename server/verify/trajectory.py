"""The tool calls of a rollout, as the server logged them, against expected ones.

What the response tells of calls is the agent's and the model's word; `Rollout.calls` is ours. Arguments are
compared by value (`values`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs

from sandbox.observation import CallRecord, Outcome
from server.verify.values import same_value

Order = Literal["exact", "in_order", "any_order"]


@attrs.frozen
class ExpectedCall:
    """A call that should have been made.

    Attributes:
        tool: its name; ``mcp__server__tool`` counts as ``tool``, whatever is in that.
        arguments: all of its arguments; None for whatever they are.
    """

    tool: str
    arguments: Mapping[str, Any] | None = None

    def matches(self, call: CallRecord, tolerance: float = 0.0) -> bool:
        """Whether `call` is it. Arguments that the log had no room for are no certain ones."""
        if plain_name(self.tool) != plain_name(call.tool):
            return False
        if self.arguments is not None and "arguments" in call.left_out:
            return False
        return self.arguments is None or same_value(dict(self.arguments), dict(call.arguments), tolerance)


def plain_name(tool: str) -> str:
    """Return a tool's name without the prefix that agents over MCP give it.

    The server's name ends at the first ``__``: what comes after it is the tool's, as in ``get__user``.
    """
    prefix, _, name = tool.partition("__")[2].partition("__") if tool.startswith("mcp__") else ("", "", "")
    return name if prefix and name else tool


def calls_match(
    calls: Sequence[CallRecord],
    expected: Sequence[ExpectedCall],
    order: Order = "exact",
    *,
    succeeded_only: bool = False,
    tolerance: float = 0.0,
) -> bool:
    """Whether the expected calls were made. Nothing expected is never earned by anything but no call.

    Args:
        calls: of the rollout, as logged.
        expected: what should have been called.
        order: ``exact``: these and no others, in this order; ``in_order``: these in this order, others may
            come in between; ``any_order``: each of these by a call of its own, others may be there too.
        succeeded_only: whether calls that went wrong are overlooked.
        tolerance: for numbers among the arguments, see `same_value`.
    """
    made = [call for call in calls if not succeeded_only or call.observation.outcome is Outcome.OK]
    if not expected:
        return not made
    if order == "exact":
        pairs = zip(expected, made, strict=False)
        return len(made) == len(expected) and all(each.matches(call, tolerance) for each, call in pairs)
    if order == "in_order":
        # Searching for one moves on past it, so the next is searched for behind it.
        left = iter(made)
        return all(any(each.matches(call, tolerance) for call in left) for each in expected)
    fits = [[index for index, call in enumerate(made) if each.matches(call, tolerance)] for each in expected]
    return _can_be_shared_out(fits)


def _can_be_shared_out(fits: Sequence[Sequence[int]]) -> bool:
    """Whether each can have one of its indices for itself: a matching, grown along augmenting paths."""
    owner: dict[int, int] = {}

    def place(who: int, tried: set[int]) -> bool:
        for index in fits[who]:
            if index not in tried:
                tried.add(index)
                if index not in owner or place(owner[index], tried):
                    owner[index] = who
                    return True
        return False

    return all(place(who, set()) for who in range(len(fits)))
