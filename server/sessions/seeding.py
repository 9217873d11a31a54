"""Which session a seed asks for: the one that the same seed has started before, or a new one.

Seeds come more than once: a reply was lost, or a client sends the same request twice at once. All that bear
the same cookie, the same Idempotency-Key or the same episode get the same session, and the answer of the
first. Nothing here waits, so of two seeds at once the second always finds the first one's session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from server.errors import Failure, InvalidBody, SeededOtherwise, SessionOver
from server.logs import get_logger
from server.sessions.session import LiveSession, Phase

if TYPE_CHECKING:
    from sandbox.limits import Limits
    from server.http.requests import SeedRequest
    from server.sessions.ground import Ground
    from server.sessions.records import Records

log = get_logger("seeding")


@attrs.frozen
class Seeding:
    """Finds and makes sessions; it starts none.

    Attributes:
        records: those that there are; a new one is added.
        ground: what a new one stands on.
        max_waiting: how many seeds may wait in line.
    """

    records: Records
    ground: Ground
    max_waiting: int

    def find(self, request: SeedRequest, known_id: str | None, name: str | None) -> LiveSession | None:
        """Return the session that a seed asks for again, or None.

        Args:
            request: the row.
            known_id: the id in the request's cookie, if it had a good one.
            name: see `name_of`.

        Raises:
            SeededOtherwise: the session lives, or has been neither verified nor closed, with another row or
                for another episode. It was not touched.
            SessionOver: the episode's session has been closed, and may never be again.
        """
        known = self.records.newest(known_id)
        if known is not None:
            is_other = known.row != request.row or known.episode != request.episode
            # A model can name `seed_session` as its tool. One that has broken its session must not have its
            # agent's verify meet another, with a task of the model's own making.
            if is_other and not (known.is_released and known.phase is Phase.OVER):
                raise SeededOtherwise(_NOT_YET)
            if known.phase is not Phase.OVER:
                return known
        named = self.records.named(name)
        if request.episode is None or name is None:
            return named if named is not None and named.row == request.row else None
        if self.records.is_spent(name):
            msg = "This resources_session_id has been closed, and is not used again."
            raise SessionOver(msg)
        if named is not None and (named.row != request.row or named.episode != request.episode):
            msg = "This resources_session_id was seeded with another task or for another episode."
            raise SeededOtherwise(msg)
        return named

    def make(self, request: SeedRequest, new_id: str, known_id: str | None, name: str | None) -> LiveSession:
        """Return a new session, which waits to be run.

        Args:
            request: the row.
            new_id: an unused id.
            known_id: as in `find`.
            name: as in `find`.

        Raises:
            InvalidBody: the row asks for limits that it may not have.
        """
        known = self.records.newest(known_id)
        limits, failure = self._limits_for(request.task)
        session = LiveSession(
            # A cookie that names no session here yet was given out with an earlier reply: two seeds that
            # bear it are one seed sent twice, and meet under that id.
            id=new_id if known is not None or known_id is None else known_id,
            row=request.row,
            task=request.task,
            limits=limits,
            ground=self.ground,
            name=name,
            episode=request.episode,
            rollout=request.rollout,
            is_claimed=known_id is not None or name is not None,
        )
        if known is not None:
            known.successor = session
            session.previous = known if known.verdict is None else None
        self.records.add(session)
        if failure is not None:
            session.cut_off(failure)
        elif self.ground.slots.statistics().tasks_waiting >= self.max_waiting:
            session.cut_off(Failure("provider_unavailable", f"{self.max_waiting} seeds are waiting already"))
        return session

    def _limits_for(self, task: Any) -> tuple[Limits, Failure | None]:
        """Return a session's limits, or the server's and why its rollout must be masked."""
        most = self.ground.profile.limits
        try:
            wishes = self.ground.environment.limits(task)
            # Bytes and counts may have come as 5.0, and are whole for those who use them.
            whole = {key: int(value) if float(value).is_integer() else value for key, value in wishes.items()}
        except Exception as error:  # whatever a user's code raises must not cost the client its run
            log.exception("limits raised", environment=self.ground.environment.name)
            return most, Failure("creche:seed_failed", f"limits raised {type(error).__name__}")
        try:
            return most.lowered(whole), None
        except ValueError as error:
            problem = {"type": "value_error", "loc": ["body", "limits"], "msg": str(error), "input": None}
            raise InvalidBody([problem]) from None


_NOT_YET = (
    "This session was seeded with another task. "
    "Its cookie seeds another one only when it is over and has been verified or closed."
)


def name_of(request: SeedRequest, key: str | None) -> str | None:
    """Return the name under which a seed's session can be found again without its cookie, if it has one.

    Args:
        request: its episode names it.
        key: the client's Idempotency-Key.
    """
    if request.episode is not None:
        return request.episode.name
    return None if key is None else f"key\0{key}"
