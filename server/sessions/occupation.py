"""Whether anything is being done with a session, and the deadline for when nothing is."""

from __future__ import annotations

import math

import attrs
import trio


@attrs.define(eq=False)
class Occupation:
    """Counts what a session is busy with: each piece begins and ends, or is a ``with`` block.

    Attributes:
        idle_seconds: how long there may be nothing.
        idle: a scope that is cancelled after that, once `watch` has been called.
    """

    idle_seconds: float
    idle: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _count: int = 0

    def watch(self) -> None:
        """Start the clock, unless it is busy already."""
        if not self._count:
            self.idle.deadline = trio.current_time() + self.idle_seconds

    def begin(self) -> None:
        """Begin a piece: the clock stops."""
        self._count += 1
        self.idle.deadline = math.inf

    def end(self) -> None:
        """End it; after the last one the clock starts anew."""
        self._count -= 1
        self.watch()

    def __enter__(self) -> None:
        """Begin a piece."""
        self.begin()

    def __exit__(self, *_: object) -> None:
        """End it, however it ended."""
        self.end()
