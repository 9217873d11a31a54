"""For how long, and how often, a request is sent again."""

from __future__ import annotations

import time

import attrs

from server.client.conversation import Request
from server.client.replies import Unreachable

_SHORTEST, _LONGEST = 0.05, 2.0


@attrs.define
class Patience:
    """One request's.

    Args:
        seconds: how long to try, from the first broken connection on: one that does not break may last.
        request: what is sent.
    """

    _seconds: float
    _request: Request
    _pause: float = _SHORTEST
    _deadline: float | None = None

    def pause_after(self, error: Exception) -> float:
        """Return how long to wait before the next attempt, now that one has failed.

        Raises:
            Unreachable: there shall be no further attempt.
        """
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self._seconds
        if now + self._pause > self._deadline:
            reason = f"{type(error).__name__}: {error}"
            msg = (
                f"{self._request.method} {self._request.path} got no reply for {self._seconds:g} s: {reason}"
            )
            raise Unreachable(msg) from error
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST)
        return pause
