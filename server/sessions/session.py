"""One session's life, from its place in the line to its final state: one task of `Sessions`' nursery.

    waiting ── seeding ── live ── over
       └──────────┴─────────────────┘      each step can be the last

Calls run in a nursery of the session's own, so they end with it and with nothing else. Two deadlines are
scopes around the same wait: the session's, which stands, and the idle one, which each call and each step
pushes away.
However a session ends, its sandbox is gone and its place is free before `over` is set; what is kept for the
verdict is the final state, or the `Failure` why there is none.
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import attrs
import trio

from sandbox.errors import Starved, WouldNotStart
from sandbox.observation import Ending
from server.answers import answer, demand_room, why_not
from server.errors import Failure, NoSuchTool, Overloaded
from server.http.wire import refusal
from server.logs import get_logger
from server.sessions.claims import ask_for_variables
from server.sessions.exchanges import Exchange, Memory
from server.sessions.occupation import Occupation
from server.sessions.preparing import prepare
from server.sessions.shares import Share

if TYPE_CHECKING:
    from sandbox.box import Box
    from sandbox.final_state import FinalState
    from sandbox.limits import Limits
    from server.http.requests import Row
    from server.sessions.episodes import Episode
    from server.sessions.ground import Ground

log = get_logger("session")

DYING_SECONDS = 2.0
"""How long calls may take to notice that their sandbox has ended by itself, and to say what they saw."""


class Phase(enum.StrEnum):
    """How far a session has come."""

    WAITING = "waiting"
    SEEDING = "seeding"
    LIVE = "live"
    OVER = "over"


_ORDERLY = frozenset({Ending.FINISHED, Ending.CLOSED, Ending.SESSION_DEADLINE, Ending.IDLE_DEADLINE})
"""Endings that the server decides on; the others are a sandbox's own death."""


@attrs.define(eq=False)
class LiveSession:
    """A session while it lives, and its record afterwards.

    Attributes:
        id: names it, in the cookie and in the log.
        row: the identity of the row that it was seeded with.
        task: the row itself, for the environment; None once there is a verdict.
        name: under which its seed finds it again without the cookie, if it has one.
        episode: whose session it is, if an environment server has named it.
        rollout: NeMo Gym's id of the rollout, for the log.
        previous: the ended session whose cookie the seed of this one carried, if it did.
        successor: the session for whom this one is the previous.
        phase: how far it has come.
        seeded: set when the seed can be answered.
        over: set when nothing of its sandbox is left.
        failure: why its rollout must be masked, if it must.
        final_state: what it left behind, once over; None with a failure, and once there is a verdict.
        verdict: the fields of its verify reply, once there are some.
        waiting_seeds: requests that wait for `seeded`.
        is_claimed: whether anybody can address it: its id has reached a client, or the client chose it.
        is_released: whether its cookie may seed another row once it is over: whoever seeded it has said that
            they want no more of it, or its agent posts nothing that a model names.
        judging: the scope in which its verdict is being made, once one has been asked for.
        judged: set with `verdict`.
        allowed: names of the tools that it may use; None for all of them. Set when it is seeded.
        box: its sandbox, while it takes calls.
        key: what an MCP client must know to use it.
        occupation: what it is busy with.
        share: of the memory for final states, once it is dead.
    """

    id: str
    row: Row
    task: Any
    limits: Limits
    _ground: Ground = attrs.field(alias="ground")
    name: str | None = attrs.field(default=None, repr=False)
    episode: Episode | None = None
    rollout: str | None = None
    previous: LiveSession | None = None
    successor: LiveSession | None = None
    phase: Phase = Phase.WAITING
    seeded: trio.Event = attrs.field(factory=trio.Event)
    over: trio.Event = attrs.field(factory=trio.Event)
    failure: Failure | None = None
    final_state: FinalState | None = None
    verdict: dict[str, Any] | None = None
    waiting_seeds: int = 0
    is_claimed: bool = False
    is_released: bool = False
    judging: trio.CancelScope | None = None
    judged: trio.Event = attrs.field(factory=trio.Event)
    allowed: frozenset[str] | None = None
    box: Box | None = None
    key: str = attrs.field(factory=lambda: secrets.token_urlsafe(24), repr=False)
    occupation: Occupation = attrs.field(init=False)
    share: Share = attrs.field(init=False)
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _end_wanted: trio.Event = attrs.field(factory=trio.Event)
    _ending: Ending | None = None
    _cut_off: Failure | None = None
    _calls: trio.Nursery | None = None
    _calling: int = 0
    _memory: Memory = attrs.field(factory=Memory)

    def __attrs_post_init__(self) -> None:
        self.occupation, self.share = Occupation(self.limits.idle_seconds), Share(self._ground.states)

    async def run(self) -> None:
        """Live. Lets nothing but Cancelled escape."""
        try:
            with self._scope:
                await self._take_a_slot()
        except Exception as error:  # the nursery is shared: no session may take the others down
            self._fail("session_lost", f"the server met a {type(error).__name__}")
            log.exception("session crashed", session=self.id)
        finally:
            if self.final_state is None and self.failure is None:
                self.failure = self._cut_off or Failure("session_lost", "the session was cut off")
            self.phase = Phase.OVER
            self._memory = Memory()
            self.seeded.set()
            self.over.set()
            ended_by = self.final_state.ended_by if self.final_state else self.failure and self.failure.kind
            log.info("session over", session=self.id, ended_by=ended_by)

    def cut_off(self, failure: Failure) -> None:
        """End it at once, wherever it is. Calls are answered; the rollout is masked as `failure` says."""
        self._cut_off = failure
        self._scope.cancel()
        if self.judging is not None:
            self.judging.cancel()

    def end(self, ending: Ending) -> None:
        """Ask it to end in order; `over` tells when it has. The first ending asked for counts."""
        self._ending = self._ending or ending
        self._end_wanted.set()

    async def demand(self, tool: str) -> None:
        """See that it may use a tool, once it is seeded.

        Raises:
            NoSuchTool: it may not.
        """
        if not self.seeded.is_set():  # waiting for what is there already would cost a turn of the event loop
            await self.seeded.wait()
        if self.allowed is not None and tool not in self.allowed:
            raise NoSuchTool

    def call(self, tool: str, arguments: Mapping[str, Any], key: bytes, name: str | None) -> Exchange:
        """Begin a call of a tool that it may use (`demand`), or find the exchange that this request repeats.

        Args:
            tool: the handler's name.
            arguments: already checked.
            key: digest of the tool's name and the body.
            name: the client's Idempotency-Key.

        Raises:
            SessionOver, SessionLost, ShuttingDown, TooManyCalls: see there. Nothing was begun.
        """
        exchange = self._memory.recall(key, name)
        if exchange is not None:
            return exchange
        if self.box is None or self._calls is None or self._end_wanted.is_set():
            raise self._why_not()
        demand_room(self.box, self._calling)
        exchange = Exchange()
        self._calls.start_soon(self._answer, exchange, self.box, tool, arguments)
        self._memory.remember(exchange, key, name)
        self._calling += 1
        self.occupation.begin()
        self._ground.work.begin()
        return exchange

    async def _take_a_slot(self) -> None:
        seconds = self._ground.queue_seconds
        with trio.move_on_after(seconds) as patience:
            await self._ground.slots.acquire_on_behalf_of(self)
        if patience.cancelled_caught:
            self._fail("provider_unavailable", f"no sandbox became free within {seconds:g} s")
            return
        try:
            await self._open()
        except WouldNotStart as error:
            self._fail("provider_unavailable", str(error))
        finally:
            self._ground.slots.release_on_behalf_of(self)

    async def _open(self) -> None:
        self.phase = Phase.SEEDING
        deadline = trio.current_time() + self.limits.session_seconds
        with ExitStack() as seeding:
            seeding.enter_context(self._ground.work)
            async with self._ground.launcher.open_sandbox(self._ground.profile, self.limits) as box:
                failure = await prepare(self._ground.environment, self, box, deadline)
                if failure is not None:
                    self._fail(failure.kind, failure.reason)
                    return
                seeding.close()
                ending = await self._serve(box, deadline)
                if ending is Ending.IDLE_DEADLINE:
                    idle = f"{self.limits.idle_seconds:g} s"
                    self._fail("session_expired", f"nothing was asked of the session for {idle}")
                    return
                claims = await self._claims(box, ending)
                await box.end(ending)
                self.share = await self._ground.states.take(self.limits)
                try:
                    final_state = attrs.evolve(await box.finish(ending), claims=claims)
                except Starved as error:
                    self._fail("creche:overloaded", str(error))
                    return
                if final_state.ended_by.is_ours:
                    self._fail("session_lost", "the sandbox went down with its cage")
                elif self.failure is None:
                    self.final_state = final_state
                    self.share.resize(final_state.size)

    async def _serve(self, box: Box, deadline: float) -> Ending:
        """Take calls until the session is to end; return the road by which."""
        try:
            async with trio.open_nursery() as nursery:
                self.box, self._calls = box, nursery
                nursery.start_soon(self._watch, box)
                self.occupation.watch()
                self.phase = Phase.LIVE
                self.seeded.set()
                log.info("session live", session=self.id, rollout=self.rollout)
                with trio.CancelScope(deadline=deadline) as life, self.occupation.idle:
                    await self._end_wanted.wait()
                if life.cancelled_caught:
                    self.end(Ending.SESSION_DEADLINE)
                elif self.occupation.idle.cancelled_caught:
                    self.end(Ending.IDLE_DEADLINE)
                assert self._ending is not None  # noqa: S101  # `end` sets it before the event
                # A sandbox that died by itself has told its callers, or is about to: that should reach them.
                patience = 0.0 if self._ending in _ORDERLY else DYING_SECONDS
                nursery.cancel_scope.deadline = trio.current_time() + patience
            return self._ending
        finally:
            self.box = self._calls = None  # a nursery that is closed takes no more calls

    async def _claims(self, box: Box, ending: Ending) -> Mapping[str, str]:
        """Return what the session says of itself, if its environment wants to know. Calls are over by now."""
        environment = self._ground.environment
        if ending is not Ending.FINISHED or not environment.final_variables:
            return {}
        return await ask_for_variables(box, environment.final_variables, environment.final_variables_seconds)

    async def _watch(self, box: Box) -> None:
        self.end(await box.wait_ended())

    async def _answer(self, exchange: Exchange, box: Box, tool: str, arguments: Mapping[str, Any]) -> None:
        """Run a call and give its exchange a reply, whatever comes."""
        reply = None
        try:
            reply = await answer(self._ground.environment, box, self.id, tool, arguments)
        except Overloaded as error:
            self._fail("creche:overloaded", "a call was refused because this machine was short of resources")
            reply = refusal(error)
        finally:
            self._ground.work.end()
            exchange.answer(reply or refusal(self._why_not()))
            self._calling -= 1
            self.occupation.end()

    def _why_not(self) -> Exception:
        failure = self.failure or self._cut_off
        return why_not(self._ending, failure, is_stopping=self._ground.stopping.is_set())

    def _fail(self, kind: str, reason: str) -> None:
        self.failure = self.failure or Failure(kind, reason)
        log.error("session failed", session=self.id, failure=kind, reason=reason)
