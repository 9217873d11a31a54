"""What an agent does in one rollout."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class Call:
    """One tool call, or what pretends to be one: any name goes into the path."""

    tool: str
    arguments: Any = attrs.field(factory=dict[str, Any])


@attrs.frozen(kw_only=True)
class Script:
    """One rollout.

    Attributes:
        calls: made in order.
        text: the last message.
    """

    calls: tuple[Call, ...] = ()
    text: str = ""


def fenced(code: str) -> str:
    """Return a message with a solution."""
    return f"```python\n{code}\n```"
