"""All sandboxes of a server, by id."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from sandbox.bare import bare_exceptions
from server.errors import InvalidBody, NoSandbox, NoSuchSession
from server.sandboxes.errands import profile_like
from server.sandboxes.live import LiveSandbox

if TYPE_CHECKING:
    from server.sandboxes.requests import Create
    from server.sessions.ground import Ground

_REMEMBERED = 4096
"""Sandboxes that are over and still known by their ids."""


@asynccontextmanager
async def open_sandboxes(ground: Ground, max_waiting: int) -> AsyncGenerator[Sandboxes]:
    """Open the registry. Leaving the block ends every sandbox and waits until nothing of it is left.

    Args:
        ground: what they stand on.
        max_waiting: how many may wait for a place.
    """
    with bare_exceptions():
        async with trio.open_nursery() as nursery:
            sandboxes = Sandboxes(nursery, ground, max_waiting)
            nursery.start_soon(sandboxes.end_when_stopping)
            try:
                yield sandboxes
            finally:
                nursery.cancel_scope.cancel()


class Sandboxes:
    """The registry. Made by `open_sandboxes`."""

    def __init__(self, nursery: trio.Nursery, ground: Ground, max_waiting: int) -> None:
        """Start empty."""
        self._nursery = nursery
        self._ground = ground
        self._max_waiting = max_waiting
        self._profile = profile_like(ground.profile)
        self._by_id: dict[str, LiveSandbox] = {}
        self._by_name: dict[str, LiveSandbox] = {}
        self._over: deque[tuple[LiveSandbox, str | None]] = deque()

    async def create(self, request: Create, name: str | None) -> LiveSandbox:
        """Make a sandbox, or find the one that this request has made before, and wait until it can be used.

        Args:
            request: what it shall be like.
            name: the client's Idempotency-Key.

        Raises:
            InvalidBody: it asks for what it may not have.
            NoSandbox: none became free in time, too many wait for one, or none can be started.
        """
        sandbox = None if name is None else self._by_name.get(name)
        if sandbox is None or sandbox.request != request:
            sandbox = self._begin(request, name)
        try:
            await sandbox.use()
        finally:
            if not sandbox.waiting and not sandbox.ready.is_set():
                sandbox.end()  # all who asked have hung up; one that asks again gets another
                self._forget(sandbox, name)
        return sandbox

    def get(self, sandbox_id: str) -> LiveSandbox:
        """Return the sandbox of that id.

        Raises:
            NoSuchSession: there is none.
        """
        try:
            return self._by_id[sandbox_id]
        except KeyError:
            msg = "There is no such sandbox: it was never made here, or it ended long ago."
            raise NoSuchSession(msg) from None

    async def close(self, sandbox_id: str) -> None:
        """End a sandbox and wait until nothing of it is left; any number of times, also an unknown one."""
        sandbox = self._by_id.get(sandbox_id)
        if sandbox is not None:
            sandbox.end()
            await sandbox.over.wait()

    async def end_when_stopping(self) -> None:
        """End all when the server cuts off what still runs, so that whoever waits for a reply gets one."""
        await self._ground.stopping.wait()
        for sandbox in list(self._by_id.values()):
            sandbox.end()

    def _begin(self, request: Create, name: str | None) -> LiveSandbox:
        if request.wait_seconds is not None and not request.wait_seconds >= 0:
            raise _wrong(field="wait_seconds", words="Input should be greater than or equal to 0")
        wishes = dict(request.limits)
        longest = self._ground.profile.limits.session_seconds
        if request.ttl_seconds is not None:
            if not 0 < request.ttl_seconds <= longest:
                words = f"above 0 and at most {longest:g}, the server's limits.session_seconds"
                raise _wrong(field="ttl_seconds", words=f"Input should be {words}")
            wishes["session_seconds"] = request.ttl_seconds
        try:
            whole = {key: int(value) if float(value).is_integer() else value for key, value in wishes.items()}
            limits = self._ground.profile.limits.lowered(whole)
        except ValueError as error:
            raise _wrong(field="limits", words=str(error)) from None
        if self._ground.slots.statistics().tasks_waiting >= self._max_waiting:
            msg = f"{self._max_waiting} wait for a place already"
            raise NoSandbox(msg)
        sandbox = LiveSandbox(
            id=secrets.token_hex(16),
            request=request,
            limits=limits,
            ground=self._ground,
            profile=self._profile,
        )
        self._by_id[sandbox.id] = sandbox
        if name is not None:
            self._by_name[name] = sandbox
        self._nursery.start_soon(self._keep, sandbox, name)
        if self._ground.stopping.is_set():
            sandbox.end()
        return sandbox

    async def _keep(self, sandbox: LiveSandbox, name: str | None) -> None:
        try:
            await sandbox.run()
        finally:
            self._over.append((sandbox, name))
            while len(self._over) > _REMEMBERED:
                old, name = self._over.popleft()
                self._by_id.pop(old.id, None)
                self._forget(old, name)

    def _forget(self, sandbox: LiveSandbox, name: str | None) -> None:
        if name is not None and self._by_name.get(name) is sandbox:
            del self._by_name[name]


def _wrong(*, field: str, words: str) -> InvalidBody:
    return InvalidBody([{"type": "value_error", "loc": ["body", field], "msg": words, "input": None}])
