"""All sessions of a server, behind five verbs: seed, call, finish, close, describe.

`open_sessions` owns the one nursery in which sessions and verdicts run.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import trio

from sandbox.bare import bare_exceptions
from sandbox.observation import Ending
from server.errors import Failure, NoSuchSession, NoSuchTool, NotSeeded, SeededOtherwise
from server.logs import get_logger
from server.sessions.ground import Ground, lay_ground
from server.sessions.records import Records
from server.sessions.seeding import Seeding, name_of
from server.sessions.session import LiveSession, Phase
from server.sessions.stepping import Stepping
from server.sessions.verdicts import Verdicts

if TYPE_CHECKING:
    from sandbox.launcher import Launcher
    from server.environment import Environment
    from server.http.requests import CloseRequest, SeedRequest, VerifyRequest
    from server.sessions.exchanges import Exchange
    from server.settings import Settings

log = get_logger("sessions")

_SHUTTING_DOWN = Failure("creche:shutting_down", "the server was shut down")
_CLOSED = Failure("creche:closed", "the session was closed before it was ready")
_WITHDRAWN = Failure("creche:withdrawn", "whoever asked for the session had gone before it was ready")


@asynccontextmanager
async def open_sessions(
    environment: Environment[Any], launcher: Launcher, settings: Settings
) -> AsyncGenerator[Sessions]:
    """Open the registry. Leaving the block cuts off every session and waits until its sandbox is gone.

    Raises:
        sandbox.errors.WouldNotStart: no session could ever start here; found out before the block is entered.
        tools.registry.ToolError: a tool of the environment cannot be resolved.
    """
    ground = await lay_ground(environment, launcher, settings)
    with bare_exceptions():
        async with trio.open_nursery() as nursery:
            sessions = Sessions(nursery, ground, settings)
            try:
                yield sessions
            finally:
                sessions.cut_off()
                nursery.cancel_scope.cancel()


class Sessions:
    """The registry. Made by `open_sessions`."""

    def __init__(self, nursery: trio.Nursery, ground: Ground, settings: Settings) -> None:
        """Start empty."""
        self._nursery = nursery
        self.ground = ground
        self._records = Records(settings.record_seconds, settings.max_records, settings.kept_state_bytes)
        self._seeding = Seeding(self._records, ground, settings.max_waiting)
        self._verdicts = Verdicts(ground, settings)
        self.stepping = Stepping(self, nursery, settings)
        self._is_stopping = False
        self.task_type = ground.environment.task_type()

    def find(self, session_id: str | None) -> LiveSession | None:
        """Return the session of that id, if it is known."""
        return self._records.get(session_id)

    async def demand(self, session_id: str | None, tool: str) -> LiveSession:
        """Return the session of that id, once it is seeded, if it may use a tool.

        Raises:
            NoSuchSession: the id is unknown.
            NoSuchTool: the session may not use that one.
        """
        session = self._records.get(session_id)
        if session is None:
            raise NoSuchSession(_NO_SESSION)
        await session.demand(tool)
        return session

    @property
    def reverify_mode(self) -> str:
        """Whether a rollout can be verified again without its session: ``stateless`` or ``unsupported``."""
        return self._verdicts.reverify_mode

    def is_live(self, session_id: str | None) -> bool:
        """Whether the id names a session that is not over."""
        session = self._records.get(session_id)
        return session is not None and not session.over.is_set()

    @property
    def environment(self) -> Environment[Any]:
        """What is played here."""
        return self.ground.environment

    async def seed(
        self, request: SeedRequest, new_id: str, known_id: str | None = None, name: str | None = None
    ) -> str:
        """Start a session, or find the one that this seed has started before, and wait until it can be used.

        Args:
            request: the row.
            new_id: an unused id, for a new session.
            known_id: the id in the request's cookie, if it had a good one.
            name: the client's Idempotency-Key.

        Returns:
            The session's id. In the protocol's first generation a session that could not be started has one
            too, and its verify says why.

        Raises:
            SeededOtherwise: the session lives or has no verdict yet, with another row. It was not touched.
            SessionOver: the episode's session has been closed.
            NotSeeded: the episode's session could not be started.
            InvalidBody: the row asks for limits that it may not have.
        """
        name = name_of(request, name)
        session = self._seeding.find(request, known_id, name)
        if session is None:
            session = self._seeding.make(request, new_id, known_id, name)
            if self._is_stopping:
                session.cut_off(_SHUTTING_DOWN)
            self._nursery.start_soon(self._keep, session)
        session.waiting_seeds += 1
        try:
            await session.seeded.wait()
        except trio.Cancelled:
            session.waiting_seeds -= 1
            if session.phase is Phase.WAITING or not session.is_claimed:
                self._withdraw(session)
            raise
        session.waiting_seeds -= 1
        if request.episode is not None and session.failure is not None:
            session.is_released = True
            raise NotSeeded(session.failure.reason)
        return session.id

    def note_seed_reply(self, session_id: str, *, is_delivered: bool) -> None:
        """Say whether a seed's reply reached its client: a session that nobody knows of is ended."""
        session = self._records.get(session_id)
        if session is not None and is_delivered:
            session.is_claimed = True
        elif session is not None and not session.is_claimed:
            self._withdraw(session)

    def _withdraw(self, session: LiveSession) -> None:
        """End a session, unless somebody else waits for it; let a later seed of its name start anew."""
        if not session.waiting_seeds:
            self._records.forget_name(session)
            session.is_released = True
            session.cut_off(_WITHDRAWN)

    async def call(
        self,
        session_id: str | None,
        tool: str,
        arguments: Mapping[str, Any],
        key: bytes,
        name: str | None = None,
    ) -> Exchange:
        """Begin a tool call in a session, or find the one that this request repeats.

        Raises:
            ClientError, ServerError: see `demand` and `LiveSession.call`.
        """
        session = await self.demand(session_id, tool)
        return session.call(tool, arguments, key, name)

    async def finish(self, session_id: str | None, request: VerifyRequest) -> dict[str, Any]:
        """End a session and return its verdict's fields; the same ones however often it is asked for.

        A session that is not known (any more) is judged by the state that was kept of it, if the response
        carries the reference.

        Raises:
            NoSuchTool: the session was seeded with another row. It was not touched.
            InvalidBody: there is no response, or no row.
        """
        request.check()
        session = self._records.get(session_id)
        if session is None:
            return await self._verdicts.verdict_again(session_id, request)
        seeded = self._records.seeded_with(request.row, session)
        if seeded is None:
            # A model can name `verify` as its tool: for it, there is no such tool.
            log.warning(
                "verify with another row", session=session.id, differs_in=session.row.differs_in(request.row)
            )
            raise NoSuchTool
        session = seeded
        if session.judging is None:
            scope = trio.CancelScope()
            self._nursery.start_soon(self._settle, session, scope, request)
            self.ground.work.begin()
            session.judging, session.is_released = scope, True
            self._records.note_judging(session)
        await session.judged.wait()
        assert session.verdict is not None  # noqa: S101  # set before the event
        return session.verdict

    async def close(self, session_id: str | None, request: CloseRequest) -> None:
        """End a session and wait until its sandbox is gone, any number of times, also of an unknown one.

        Args:
            session_id: the id in the request's cookie, if it had a good one.
            request: whose session. An episode's needs no cookie, and is never seeded again.

        Raises:
            NoSuchTool: the cookie's session lives, and the request does not show whose it is. Nothing was
                touched.
            SeededOtherwise: the session is another episode's. It was not touched.
        """
        session = self._records.get(session_id)
        is_live = self.is_live(session_id)
        if session is not None and is_live and not request.shows(session.row, session.episode):
            # A model can name `close_session` as its tool: for it, there is no such tool.
            raise NoSuchTool
        if request.episode is not None:
            session = self._records.named(request.episode.name)
            if session is not None and session.episode != request.episode:
                msg = "This resources_session_id is that of another episode."
                raise SeededOtherwise(msg)
            self._records.spend(request.episode.name)
        if session is not None:
            session.is_released = session.is_released or request.shows(session.row, session.episode)
            if not session.seeded.is_set():
                session.cut_off(_CLOSED)
            session.end(Ending.CLOSED)
            await session.over.wait()

    def describe(self) -> dict[str, Any]:
        """Return the tier in force, what it rests on here, and how many sessions there are of which kind."""
        posture = attrs.asdict(self.ground.launcher.posture(self.ground.profile))
        return {
            "tier": posture["tier"],
            "posture": posture,
            "sandboxes": self.ground.launcher.alive,
            "posture_mismatches": self.ground.launcher.mismatches,
            "standby": self.ground.launcher.ready(self.ground.profile),
            "sessions": self._records.phases() | {"at_most": int(self.ground.slots.total_tokens)},
        }

    async def drain(self, seconds: float) -> None:
        """Let what is in progress end, for at most `seconds`; then cut off all. Nobody waits in line on."""
        self._is_stopping = True
        for session in self._records:
            if session.phase is Phase.WAITING:
                session.cut_off(_SHUTTING_DOWN)
        with trio.move_on_after(seconds):
            await self.ground.work.wait_quiet()
        self.cut_off()

    def cut_off(self) -> None:
        """End every session at once; calls in progress are answered with `ShuttingDown`."""
        self._is_stopping = True
        self.ground.stopping.set()
        for session in self._records:
            session.cut_off(_SHUTTING_DOWN)

    async def _keep(self, session: LiveSession) -> None:
        try:
            await session.run()
        finally:
            self._records.note_end(session)

    async def _settle(self, session: LiveSession, scope: trio.CancelScope, request: VerifyRequest) -> None:
        """Bring about the verdict of a session, once, whoever waits for it."""
        fields: dict[str, Any] | None = None
        try:
            with scope:
                session.end(Ending.FINISHED)
                await session.over.wait()
                fields = await self._verdicts.verdict(session, request)
        finally:
            self.ground.work.end()
            failure = session.failure or _SHUTTING_DOWN
            fields = fields or self._verdicts.failed(session.id, request, failure)
            session.verdict = fields
            self._records.note_verdict(session)
            session.judged.set()
            log.info(
                "verdict", session=session.id, reward=fields["reward"], failure=fields.get("failure_kind")
            )


_NO_SESSION = (
    "There is no session: it was never seeded here, has expired, or its cookie was not sent. "
    "Tools can only be used in a session."
)
