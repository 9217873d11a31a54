"""Sessions started ahead of need, so that who asks for one gets one that is running already.

A session on standby has been started and checked like any other, has run nothing but its profile's
rehearsal, and is used once: nothing is ever reused. Each is held by a task of its own, which owns what the
session needs and closes it, whoever had it meanwhile. Only sessions with their profile's own limits are kept
ready, for others cannot be known beforehand.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import attrs
import trio

from sandbox.box import Box
from sandbox.cage import GONE_SECONDS
from sandbox.errors import WouldNotStart
from sandbox.limits import Limits
from sandbox.observation import Outcome
from sandbox.profile import Profile

CLOSE_SECONDS = 2 * GONE_SECONDS
"""A session's own task waits for its processes, and then perhaps for a cage that it had to give up."""

REST_SECONDS = 0.02
"""Who was given a session uses it at once. To start its successor meanwhile would compete with that for the
processors, and made the first result through HTTP half as long again."""

Opener = Callable[[Profile, Limits], AbstractAsyncContextManager[Box]]


@attrs.define(eq=False)
class _Held:
    """A session that a task of ours holds open until it is given back; `error` is what closing it raised."""

    box: Box
    error: Exception | None = None
    given_back: trio.Event = attrs.field(factory=trio.Event)
    gone: trio.Event = attrs.field(factory=trio.Event)


@attrs.define(eq=False)
class Standby:
    """Keeps up to `size` sessions of each profile ready.

    Args:
        size: how many; 0 for none, then every session is started when it is asked for.
        open_fresh: opens a session; leaving its block closes it.
        nursery: where the sessions' tasks live.
    """

    _size: int
    _open_fresh: Opener
    _nursery: trio.Nursery
    _ready: dict[Profile, deque[_Held]] = attrs.field(factory=dict[Profile, deque[_Held]])
    _starting: dict[Profile, int] = attrs.field(factory=dict[Profile, int])
    _is_closing: bool = False

    @asynccontextmanager
    async def borrow(self, profile: Profile, limits: Limits) -> AsyncGenerator[Box]:
        """Give out a session that is ready, or a fresh one; on the way out it is closed.

        Raises:
            WouldNotStart: none was ready, and none could be started.
        """
        held = self._take(profile) if limits == profile.limits else None
        if held is None:
            async with self._open_fresh(profile, limits) as box:
                yield box
            return
        self._nursery.start_soon(self._fill_after_a_rest, profile)
        try:
            yield held.box
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_SECONDS):
                await self._close(held)

    def ready(self, profile: Profile) -> int:
        """Return how many sessions of this profile wait to be taken."""
        return len(self._ready.get(profile, ()))

    def fill(self, profile: Profile) -> None:
        """Have as many sessions of this profile started as are missing; does not wait for them."""
        missing = self._size - self.ready(profile) - self._starting.get(profile, 0)
        if not self._is_closing:
            for _ in range(missing):
                self._starting[profile] = self._starting.get(profile, 0) + 1
                self._nursery.start_soon(self._hold, profile)

    async def _fill_after_a_rest(self, profile: Profile) -> None:
        await trio.sleep(REST_SECONDS)
        self.fill(profile)

    async def aclose(self) -> None:
        """Close the sessions that nobody has taken; who has one keeps it."""
        self._is_closing = True
        for ready in self._ready.values():
            while ready:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_SECONDS):
                    await self._close(ready.popleft())

    def _take(self, profile: Profile) -> _Held | None:
        ready = self._ready.get(profile, deque[_Held]())
        while ready:
            held = ready.popleft()
            if not held.box.is_over:
                return held
            held.given_back.set()  # it died while it waited, with its cage
        return None

    async def _hold(self, profile: Profile) -> None:
        held: _Held | None = None
        try:
            async with self._open_fresh(profile, profile.limits) as box:
                await _rehearse(box, profile)
                held = _Held(box)
                self._starting[profile] -= 1
                if not self._is_closing:
                    self._ready.setdefault(profile, deque[_Held]()).append(held)
                    await held.given_back.wait()
        except Exception as error:  # noqa: BLE001 - for whoever has the session, not for all the others
            # Where nobody has it yet, whoever asks next starts one, and is told why it cannot be had.
            if held is not None:
                held.error = error
        finally:
            if held is None:
                self._starting[profile] -= 1
            else:
                held.gone.set()

    async def _close(self, held: _Held) -> None:
        held.given_back.set()
        await held.gone.wait()
        if held.error is not None:
            raise held.error


async def _rehearse(box: Box, profile: Profile) -> None:
    if profile.rehearsal is None:
        return
    observation = await box.call(profile.rehearsal, {}, is_logged=False)
    if observation.outcome is not Outcome.OK:
        msg = f"the rehearsal of a session on standby failed: {observation.error or observation.outcome}"
        raise WouldNotStart(msg)
