"""Memory for what dead sessions leave behind, until there is a verdict on it.

What a session leaves, its model decides: each final state has a bound, and hundreds of them at that bound
would still be more than a machine has. So all of them together have one, too. A session that is dead takes a
share of the memory before it is captured, as large as its state may become; it waits in line if there is
none. The share shrinks to what the state really takes, and is given back with the verdict.

Whoever holds a share does not wait for another: so verdicts go on, and the line moves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import attrs
import trio

if TYPE_CHECKING:
    from sandbox.limits import Limits


@attrs.define(eq=False)
class Share:
    """Some of the memory. Leaving it as a context gives it back.

    Attributes:
        bytes: how much of it.
    """

    _memory: StateMemory
    bytes: int = 0

    def resize(self, size: int) -> None:
        """Be as large as what is really held. Growing does not wait, as what is there is there."""
        self._memory.add(size - self.bytes)
        self.bytes = size

    def give_back(self) -> None:
        """Hold nothing any more. Any number of times."""
        self.resize(0)

    def __enter__(self) -> Self:
        """Hold it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self.give_back()


@attrs.define(eq=False)
class StateMemory:
    """All of it.

    Attributes:
        most_bytes: how much there is.
        taken_bytes: how much of it is taken.
    """

    most_bytes: int
    taken_bytes: int = 0
    _line: trio.Lock = attrs.field(factory=trio.Lock)
    _changed: trio.Event = attrs.field(factory=trio.Event)

    async def take(self, limits: Limits) -> Share:
        """Wait for a share for what a session with these limits may leave, in the order of coming.

        One for which all of the memory is too little gets all of it.
        """
        size = limits.final_state_bytes + limits.log_bytes
        async with self._line:
            while self.taken_bytes and self.taken_bytes + size > self.most_bytes:
                self._changed = trio.Event()
                await self._changed.wait()
            share = Share(self)
            share.resize(size)
            return share

    def add(self, size: int) -> None:
        """Note that so many bytes more are taken, or less."""
        self.taken_bytes += size
        self._changed.set()
