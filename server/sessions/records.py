"""Which sessions there are, by id, and for how long the ended ones are remembered.

An ended session is kept because its reply may have been lost and be asked for again, or because it ended
before it was verified. Three bounds hold: a time, a number, and the bytes of final states. What is over them
goes, the oldest first, whenever a session is added or ends: no task sweeps. Final states of sessions that
have ended by their own doing go before all others.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING

import trio

from sandbox.final_state import FinalState, Rejected
from sandbox.observation import Ending
from server.errors import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.http.requests import Row
    from server.sessions.session import LiveSession

MAX_SPENT = 65_536
"""Names that are remembered as spent; a digest of each is kept."""

_LOOK_BACK = 8
"""How many sessions of one cookie a verify may reach back: a model that closes its session and seeds
another must not make its agent's verify miss."""


class Records:
    """The registry of sessions.

    Args:
        keep_seconds: how long an ended session is remembered.
        keep_ended: how many ended ones are.
        keep_bytes: how large the final states of ended and not yet verified ones may be, all together.
    """

    def __init__(self, keep_seconds: float, keep_ended: int, keep_bytes: int) -> None:
        """Start empty."""
        self._keep_seconds = keep_seconds
        self._keep_ended = keep_ended
        self._keep_bytes = keep_bytes
        self._by_id: dict[str, LiveSession] = {}
        self._by_name: dict[str, LiveSession] = {}
        self._ended: deque[tuple[float, LiveSession, str | None]] = deque()
        self._unjudged: dict[str, int] = {}
        self._spent: dict[bytes, None] = {}

    def __iter__(self) -> Iterator[LiveSession]:
        """Go through a snapshot of all of them."""
        return iter(list(self._by_id.values()))

    def get(self, session_id: str | None) -> LiveSession | None:
        """Return the session with that id, if it is known here."""
        return None if session_id is None else self._by_id.get(session_id)

    def named(self, name: str | None) -> LiveSession | None:
        """Return the session whose seed carried that Idempotency-Key, or is that episode's."""
        return None if name is None else self._by_name.get(name)

    def spend(self, name: str) -> None:
        """Let no session have that name from now on."""
        digest = _digest(name)
        self._spent.pop(digest, None)
        while len(self._spent) >= MAX_SPENT:
            del self._spent[next(iter(self._spent))]
        self._spent[digest] = None

    def is_spent(self, name: str) -> bool:
        """Whether a name has been spent."""
        return _digest(name) in self._spent

    def newest(self, session_id: str | None) -> LiveSession | None:
        """Return the session of that id, or the last that was seeded with its cookie after it was over."""
        session = self.get(session_id)
        while session is not None and session.successor is not None:
            session = session.successor
        return session

    def seeded_with(self, row: Row, session: LiveSession) -> LiveSession | None:
        """Return `session` if `row` is its row, else the nearest one before it under its cookie, or None."""
        candidate: LiveSession | None = session
        for _ in range(_LOOK_BACK):
            if candidate is None or candidate.row.differs_in(row) is None:
                return candidate
            candidate = candidate.previous
        return None

    def add(self, session: LiveSession, name: str | None) -> None:
        """Add a new session, which has its id from now on."""
        self._trim()
        self._by_id[session.id] = session
        if name is not None:
            self._by_name[name] = session

    def forget_name(self, session: LiveSession) -> None:
        """Let the session's name, if it has one, be free again."""
        for name in [name for name, named in self._by_name.items() if named is session]:
            del self._by_name[name]

    def note_end(self, session: LiveSession, name: str | None) -> None:
        """Start the clock of a session that is over."""
        self._ended.append((trio.current_time(), session, name))
        if session.final_state is not None and session.judging is None:
            self._unjudged[session.id] = session.final_state.size
        self._trim()

    def note_verdict(self, session: LiveSession) -> None:
        """Let go of what a verdict was made from."""
        self._unjudged.pop(session.id, None)
        session.final_state = None
        session.task = None
        session.previous = None

    def _trim(self) -> None:
        oldest = trio.current_time() - self._keep_seconds
        while self._ended and (self._ended[0][0] < oldest or len(self._ended) > self._keep_ended):
            _, session, name = self._ended.popleft()
            if self._unjudged.pop(session.id, None) is not None:
                _let_go(session)
            session.previous = session.successor = None
            if self._by_id.get(session.id) is session:
                del self._by_id[session.id]
            if name is not None and self._by_name.get(name) is session:
                del self._by_name[name]
        while sum(self._unjudged.values()) > self._keep_bytes:
            sessions = [self._by_id[session_id] for session_id in self._unjudged]
            session = next(filter(_ended_itself, sessions), sessions[0])
            del self._unjudged[session.id]
            _let_go(session)


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:16]


_BY_THE_GUEST = frozenset({Ending.OUT_OF_MEMORY, Ending.PROTOCOL_VIOLATION, Ending.KILLED})


def _ended_itself(session: LiveSession) -> bool:
    return session.final_state is not None and session.final_state.ended_by in _BY_THE_GUEST


def _let_go(session: LiveSession) -> None:
    """Let go of a final state that nobody has asked a verdict for.

    Of a session that has ended by its own doing nothing is left, and it is judged by that: were it masked,
    one that fills its disk and then breaks itself could choose not to be judged.
    """
    if session.judging is not None:
        return
    if _ended_itself(session) and session.final_state is not None:
        ended_by = session.final_state.ended_by
        session.final_state = FinalState(ended_by=ended_by, rejected=(_NOT_KEPT,))
        return
    session.final_state = None
    session.failure = Failure("session_expired", "its final state was not kept any longer")


_NOT_KEPT = Rejected(
    ".", "not kept: there were too many bytes of sessions that ended before they were verified"
)
