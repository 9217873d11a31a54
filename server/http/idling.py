"""The pauses between two requests of a connection: a deadline that moves, in one task."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import attrs
import trio

if TYPE_CHECKING:
    from hypercorn.typing import Event


@attrs.define(eq=False)
class Idleness:
    """Closes a connection that is idle for too long, or idle when the server stops.

    It stands where Hypercorn has a `SingleTask`, and has its methods. That one starts a task for each pause.

    Args:
        seconds: how long a pause may be.
        terminated: set when the server stops.
    """

    _seconds: float
    _terminated: Event
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _is_idle: bool = False
    _is_watched: bool = False
    _has_ended: bool = False

    async def restart(self, task_group: Any, action: Callable[[], Awaitable[Any]]) -> None:
        """Begin a pause.

        Args:
            task_group: the connection's, a `hypercorn.typing.TaskGroup`.
            action: closes the connection; that of the first pause counts.
        """
        self._is_idle = True
        self._scope.deadline = trio.current_time() + self._seconds
        if not self._is_watched:
            self._is_watched = True
            task_group.spawn(self._watch, action)
        elif self._terminated.is_set():
            self._scope.cancel()

    async def stop(self) -> None:
        """End a pause: a request has come."""
        self._is_idle = False
        self._scope.deadline = math.inf

    def end(self) -> None:
        """Let the connection be: it has ended by itself."""
        self._has_ended = True
        self._scope.cancel()

    async def _watch(self, close: Callable[[], Awaitable[Any]]) -> None:
        while not self._has_ended:
            with self._scope:
                await self._terminated.wait()
                if not self._is_idle:
                    await trio.sleep_forever()  # the next pause, or the connection's end, will cancel it
            if self._is_idle and not self._has_ended:
                await close()
                return
            self._scope = trio.CancelScope()  # a request came just when its time was up
