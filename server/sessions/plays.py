"""What is known of one episode that is played by steps (`stepping`): what was said, and what was answered."""

from __future__ import annotations

import attrs

from server.sessions.exchanges import Exchange, Memory


@attrs.define(eq=False)
class Play:
    """What is known of a session that is played by steps, besides the session.

    Attributes:
        opening: the exchange of its `/reset`.
        memory: of its steps.
        latest: the exchange of the last step.
        latest_key: the digest of that step's body.
        latest_name: its name, if it had one.
        said: what the model has said in its turns without a call.
        items: the trajectory so far, as JSON.
        output_bytes: how much of it tool calls have brought back.
        is_over: whether it takes no more steps.
    """

    opening: Exchange = attrs.field(factory=Exchange)
    memory: Memory = attrs.field(factory=Memory)
    latest: Exchange | None = None
    latest_key: bytes = b""
    latest_name: str | None = None
    said: list[str] = attrs.field(factory=list[str])
    items: list[bytes] = attrs.field(factory=list[bytes])
    output_bytes: int = 0
    is_over: bool = False

    def remember(self, exchange: Exchange, key: bytes, name: str | None) -> None:
        """Note a step that has begun."""
        self.latest, self.latest_key, self.latest_name = exchange, key, name
        self.memory.remember(exchange, key, name)

    def end(self) -> None:
        """Take no more steps, and let go of what led up to the last."""
        self.is_over = True
        self.let_go()

    def let_go(self) -> None:
        """Keep nothing but the last step's answer: the record of a session outlives it for long."""
        self.items, self.said, self.memory = [], [], Memory()
        if self.latest is not None:
            self.memory.remember(self.latest, self.latest_key, self.latest_name)
