"""One sandbox's life: a place, a box, its end. A task of `Sandboxes`' nursery."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import attrs
import trio

from sandbox.errors import Gone, Starved, WouldNotStart
from sandbox.frames import FrameError
from server.answers import OVERLOADED
from server.errors import ClientError, NoSandbox, Overloaded, SessionOver, ShuttingDown, TooLong
from server.http.incidents import reply_to
from server.http.wire import Reply, refusal
from server.logs import get_logger
from server.sandboxes.errands import LANES, RUNNERS, make_folder
from server.sessions.exchanges import Exchange, Memory

if TYPE_CHECKING:
    from sandbox.box import Box
    from sandbox.limits import Limits
    from sandbox.observation import Observation
    from sandbox.profile import Profile
    from server.sandboxes.requests import Create
    from server.sessions.ground import Ground

log = get_logger("sandboxes")

DYING_SECONDS = 2.0
"""How long errands may take to notice that their sandbox has died by itself."""

Errand = Callable[["Box"], Awaitable[Reply]]


@attrs.define(eq=False)
class LiveSandbox:
    """A sandbox while it lives, and what is known of it afterwards.

    Attributes:
        id: names it; whoever has the server's token may use it.
        request: what it was made with.
        limits: its bounds; `session_seconds` is its time to live.
        ready: set when it can be used, or never will.
        over: set when nothing is left of it.
        failure: why it never came to be, or why it could not be prepared.
        ended_by: the road by which it ended.
        waiting: requests that wait for `ready`.
    """

    id: str
    request: Create = attrs.field(repr=False)
    limits: Limits
    _ground: Ground = attrs.field(alias="ground")
    _profile: Profile = attrs.field(alias="profile")
    ready: trio.Event = attrs.field(factory=trio.Event)
    over: trio.Event = attrs.field(factory=trio.Event)
    failure: Exception | None = None
    ended_by: str | None = None
    waiting: int = 0
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _box: Box | None = None
    _errands: trio.Nursery | None = None
    _memory: Memory = attrs.field(factory=Memory)
    _deadline: float = math.inf
    _idle_lanes: list[int] = attrs.field(factory=lambda: list(range(LANES)))
    _lanes: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(LANES))

    async def run(self) -> None:
        """Live. Lets nothing but Cancelled escape."""
        try:
            with self._scope:
                await self._take_a_slot()
        except Exception as error:  # the nursery is shared: no sandbox may take the others down
            self.failure = NoSandbox(f"the server met a {type(error).__name__}")
            log.exception("sandbox crashed", sandbox=self.id)
        finally:
            self._box = self._errands = None
            self._memory = Memory()
            self.ended_by = self.ended_by or "closed"
            self.ready.set()
            self.over.set()
            log.info("sandbox over", sandbox=self.id, ended_by=self.ended_by)

    def end(self) -> None:
        """End it at once, wherever it is."""
        self._scope.cancel()

    async def use(self) -> None:
        """Wait until it can be used.

        Raises:
            NoSandbox, InvalidBody: it never can.
        """
        self.waiting += 1
        try:
            await self.ready.wait()
        finally:
            self.waiting -= 1
        if self.failure is not None:
            raise self.failure

    def begin(self, errand: Errand, key: bytes, name: str | None) -> Exchange:
        """Begin an errand, or find the one that this request repeats.

        Args:
            errand: what to do with the box; gives the reply.
            key: digest of what is asked.
            name: the client's Idempotency-Key.

        Raises:
            SessionOver: the sandbox has ended.
        """
        exchange = self._memory.recall(key, name)
        if exchange is not None:
            return exchange
        box, errands = self.living()
        exchange = Exchange()
        errands.start_soon(self._answer, exchange, errand, box)
        self._memory.remember(exchange, key, name)
        self._ground.work.begin()
        return exchange

    async def look(self, errand: Errand) -> Reply:
        """Do an errand that changes nothing, so that nobody needs its reply again. Raises as `begin`."""
        box, errands = self.living()
        exchange = Exchange()
        errands.start_soon(self._answer, exchange, errand, box)
        self._ground.work.begin()
        return await exchange.wait()

    def living(self) -> tuple[Box, trio.Nursery]:
        """Return the box and the nursery for what it does. Raises SessionOver when it has ended."""
        if self._box is None or self._errands is None:
            raise self._why_not()
        return self._box, self._errands

    async def execute(
        self, box: Box, command: str, cwd: str, env: dict[str, str], seconds: float | None
    ) -> Observation:
        """Run a command on a lane that is free, or on the first to become so."""
        async with self._lanes:
            lane = self._idle_lanes.pop()
            try:
                left = max(0.001, self._deadline - trio.current_time())
                arguments: dict[str, Any] = {"command": command, "cwd": cwd, "env": env}
                return await box.call(
                    RUNNERS[lane].name, arguments, seconds=min(seconds or left, left), is_logged=False
                )
            finally:
                self._idle_lanes.append(lane)

    async def _take_a_slot(self) -> None:
        wait = self.request.wait_seconds
        seconds = self._ground.queue_seconds if wait is None else min(wait, self._ground.queue_seconds)
        with trio.move_on_after(seconds) as patience:
            await self._ground.slots.acquire_on_behalf_of(self)
        if patience.cancelled_caught:
            self.failure = NoSandbox(f"no sandbox became free within {seconds:g} s")
            return
        try:
            await self._open()
        except (WouldNotStart, Starved) as error:
            self.failure = NoSandbox(str(error))
        finally:
            self._ground.slots.release_on_behalf_of(self)

    async def _open(self) -> None:
        self._deadline = trio.current_time() + self.limits.session_seconds
        async with self._ground.launcher.open_sandbox(self._profile, self.limits) as box:
            try:
                await make_folder(box, self.request.workdir)
            except ClientError as error:
                self.failure = error
                return
            try:
                async with trio.open_nursery() as nursery:
                    self._box, self._errands = box, nursery
                    self.ready.set()
                    log.info("sandbox ready", sandbox=self.id)
                    patience = DYING_SECONDS  # one that died has told its callers, or is about to
                    with trio.CancelScope(deadline=self._deadline) as life:
                        self.ended_by = str(await box.wait_ended())
                    if life.cancelled_caught:
                        self.ended_by, patience = "session_deadline", 0.0
                    self._errands = None
                    nursery.cancel_scope.deadline = trio.current_time() + patience
            finally:
                self._errands = None  # a nursery that is closed takes no more errands

    async def _answer(self, exchange: Exchange, errand: Errand, box: Box) -> None:
        """Do an errand and give its exchange a reply, whatever comes."""
        reply = None
        try:
            reply = await errand(box)
        except Gone as error:
            reply = refusal(SessionOver(f"the sandbox is over ({error.ending})"))
        except Starved as error:
            log.warning("errand refused", sandbox=self.id, reason=str(error))
            reply = refusal(Overloaded(OVERLOADED))
        except FrameError:
            reply = refusal(TooLong("the arguments are too long"))
        except Exception as error:  # noqa: BLE001  # a bug: this errand's only
            reply = reply_to(error, sandbox=self.id)
        finally:
            self._ground.work.end()
            exchange.answer(refusal(self._why_not()) if reply is None else reply)

    def _why_not(self) -> Exception:
        if self._ground.stopping.is_set():
            return ShuttingDown("The server is shutting down.")
        return SessionOver(f"the sandbox is over ({self.ended_by or 'closed'})")
