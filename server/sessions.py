"""All sessions of a server, behind five verbs: seed, call, finish, close, describe.

`open_sessions` owns the one nursery in which sessions and verdicts run. Nothing here knows HTTP; the front
may one day be another process than this.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import trio

from sandbox.bare import bare_exceptions
from sandbox.observation import Ending
from server.errors import Failure, InvalidBody, NoSuchSession, NoSuchTool, SeededOtherwise
from server.ground import Ground, lay_ground
from server.logs import get_logger
from server.records import Records
from server.session import LiveSession, Phase
from server.verdicts import Verdicts

if TYPE_CHECKING:
    from sandbox.launcher import Launcher
    from sandbox.limits import Limits
    from server.environment import Environment
    from server.exchanges import Exchange
    from server.settings import Settings
    from server.wire import SeedRequest, VerifyRequest

log = get_logger("sessions")

_SHUTTING_DOWN = Failure("creche:shutting_down", "the server was shut down")
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
        self._ground = ground
        self._max_waiting = settings.max_waiting
        self._records = Records(settings.record_seconds, settings.max_records, settings.kept_state_bytes)
        self._verdicts = Verdicts(ground, settings)
        self._is_stopping = False
        self.task_type = ground.environment.task_type()

    def require(self, session_id: str | None) -> None:
        """Raise NoSuchSession unless the id names a session."""
        if self._records.get(session_id) is None:
            raise NoSuchSession(_NO_SESSION)

    @property
    def reverify_mode(self) -> str:
        """Whether a rollout can be verified again without its session: ``stateless`` or ``unsupported``."""
        return self._verdicts.reverify_mode

    @property
    def environment(self) -> Environment[Any]:
        """What is played here."""
        return self._ground.environment

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
            The session's id. A session that could not be started has one too; its verify says why.

        Raises:
            SeededOtherwise: the cookie's session lives, with another row. It was not touched.
            InvalidBody: the row asks for limits that it may not have.
        """
        session = self._same_seed(request, known_id, name) or self._begin(request, new_id, known_id, name)
        session.waiting_seeds += 1
        try:
            await session.seeded.wait()
        finally:
            session.waiting_seeds -= 1
            is_addressable = known_id is not None or name is not None
            is_wanted = session.waiting_seeds or session.seeded.is_set()
            if not is_wanted and (session.phase is Phase.WAITING or not is_addressable):
                # Everyone who asked hung up before it was ready. Nobody will ever use it: it is a place in
                # the line, or a session whose id nobody has learnt.
                session.cut_off(_WITHDRAWN)
        return session.id

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
            NoSuchSession: the id is unknown.
            ClientError, ServerError: see `LiveSession.call`.
        """
        self.require(session_id)
        session = self._records.get(session_id)
        assert session is not None  # noqa: S101  # `require` has just looked
        return await session.call(tool, arguments, key, name)

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
            session.judging = trio.CancelScope()
            self._ground.work.begin()
            self._nursery.start_soon(self._settle, session, session.judging, request)
        await session.judged.wait()
        assert session.verdict is not None  # noqa: S101  # set before the event
        return session.verdict

    async def close(self, session_id: str | None) -> None:
        """End a session and wait until its sandbox is gone, any number of times, also of an unknown one."""
        session = self._records.get(session_id)
        if session is not None:
            session.end(Ending.CLOSED)
            await session.over.wait()

    def describe(self) -> dict[str, Any]:
        """Return the tier in force, what it rests on here, and how many sessions there are of which kind."""
        posture = attrs.asdict(self._ground.launcher.posture(self._ground.profile))
        phases = dict.fromkeys(map(str, Phase), 0)
        for session in self._records:
            phases[str(session.phase)] += 1
        at_most = int(self._ground.slots.total_tokens)
        return {
            "tier": posture["tier"],
            "posture": posture,
            "sandboxes": self._ground.launcher.alive,
            "posture_mismatches": self._ground.launcher.mismatches,
            "standby": self._ground.launcher.ready(self._ground.profile),
            "sessions": phases | {"at_most": at_most},
        }

    async def drain(self, seconds: float) -> None:
        """Let what is in progress end, for at most `seconds`; then cut off all. Nobody waits in line on."""
        self._is_stopping = True
        for session in self._records:
            if session.phase is Phase.WAITING:
                session.cut_off(_SHUTTING_DOWN)
        with trio.move_on_after(seconds):
            await self._ground.work.wait_quiet()
        self.cut_off()

    def cut_off(self) -> None:
        """End every session at once; calls in progress are answered with `ShuttingDown`."""
        self._is_stopping = True
        for session in self._records:
            session.cut_off(_SHUTTING_DOWN)

    def _same_seed(self, request: SeedRequest, known_id: str | None, name: str | None) -> LiveSession | None:
        """Return the session that a seed asks for again."""
        known = self._records.newest(known_id)
        if known is not None and known.phase is not Phase.OVER:
            if known.row != request.row:
                msg = "This session was seeded with another task, and a live session is never seeded again."
                raise SeededOtherwise(msg)
            return known
        named = self._records.named(name)
        return named if named is not None and named.row == request.row else None

    def _begin(
        self, request: SeedRequest, new_id: str, known_id: str | None, name: str | None
    ) -> LiveSession:
        known = self._records.newest(known_id)
        session = LiveSession(
            # A cookie that names no session here yet was given out with an earlier reply: two seeds that
            # bear it are one seed sent twice, and meet under that id.
            id=new_id if known is not None or known_id is None else known_id,
            row=request.row,
            task=request.task,
            limits=self._limits_for(request.task),
            ground=self._ground,
        )
        if known is not None:
            known.successor = session
            session.previous = known if known.verdict is None else None
        self._records.add(session, name)
        if self._is_stopping:
            session.cut_off(_SHUTTING_DOWN)
        elif self._ground.slots.statistics().tasks_waiting >= self._max_waiting:
            session.cut_off(Failure("provider_unavailable", f"{self._max_waiting} seeds are waiting already"))
        self._nursery.start_soon(self._keep, session, name)
        return session

    def _limits_for(self, task: Any) -> Limits:
        try:
            wishes = self.environment.limits(task)
            # Bytes and counts may have come as 5.0, and are whole for those who use them.
            whole = {key: int(value) if float(value).is_integer() else value for key, value in wishes.items()}
            return self._ground.profile.limits.lowered(whole)
        except ValueError as error:
            problem = {"type": "value_error", "loc": ["body", "limits"], "msg": str(error), "input": None}
            raise InvalidBody([problem]) from None

    async def _keep(self, session: LiveSession, name: str | None) -> None:
        try:
            await session.run()
        finally:
            self._records.note_end(session, name)

    async def _settle(self, session: LiveSession, scope: trio.CancelScope, request: VerifyRequest) -> None:
        """Bring about the verdict of a session, once, whoever waits for it."""
        fields: dict[str, Any] | None = None
        try:
            with scope:
                session.end(Ending.FINISHED)
                await session.over.wait()
                fields = await self._verdicts.verdict(session, request)
        finally:
            self._ground.work.end()
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
