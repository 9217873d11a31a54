"""Which sessions there are, by id, and for how long the ended ones are remembered.

An ended session is kept because its reply may have been lost and be asked for again, or because it ended
before it was verified. Three bounds hold: a time, a number, and the bytes of final states. What is over them
goes, the oldest first, whenever a session is added, ends or is judged: no task sweeps. Final states of
sessions that have ended by their own doing go before all others. A session whose verdict is being made is
under none of them; its time begins with the verdict.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING

import trio

from sandbox.final_state import FinalState, Rejected
from sandbox.observation import Ending
from server.errors import Failure
from server.sessions.session import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.http.requests import Row
    from server.sessions.session import LiveSession

MAX_SPENT = 65_536
"""Names that are remembered as spent; a digest of each is kept."""


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
        self._ended: OrderedDict[LiveSession, float] = OrderedDict()
        self._unjudged: dict[str, int] = {}
        self._spent: dict[bytes, None] = {}

    def __iter__(self) -> Iterator[LiveSession]:
        """Go through a snapshot of all of them."""
        return iter(list(self._by_id.values()))

    def phases(self) -> dict[str, int]:
        """Return how many there are in each phase."""
        counts = Counter(str(session.phase) for session in self._by_id.values())
        return {str(phase): counts[str(phase)] for phase in Phase}

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
        while candidate is not None and candidate.row.differs_in(row) is not None:
            candidate = candidate.previous
        return candidate

    def add(self, session: LiveSession) -> None:
        """Add a new session, which has its id and its name from now on."""
        self._trim()
        self._by_id[session.id] = session
        if session.name is not None:
            self._by_name[session.name] = session

    def forget_name(self, session: LiveSession) -> None:
        """Let the session's name, if it has one, be free again."""
        if session.name is not None and self._by_name.get(session.name) is session:
            del self._by_name[session.name]

    def note_end(self, session: LiveSession) -> None:
        """Start the clock of a session that is over, unless its verdict is being made."""
        if session.judging is None or session.verdict is not None:
            self._ended[session] = trio.current_time()
        if session.verdict is not None:  # it was cut off: nobody will ask what it has left
            session.final_state = None
        if session.final_state is None:
            session.share.give_back()
        elif session.judging is None:  # from here on it is under a bound of its own
            self._unjudged[session.id] = session.final_state.size
            session.share.give_back()
        self._trim()

    def note_judging(self, session: LiveSession) -> None:
        """Hold a session, which may be over already, until there is a verdict."""
        self._ended.pop(session, None)
        kept = self._unjudged.pop(session.id, None)
        if kept is not None:
            session.share.resize(kept)

    def note_verdict(self, session: LiveSession) -> None:
        """Let go of what a verdict was made from, and start the clock."""
        session.final_state = None
        session.share.give_back()
        session.task = None
        session.previous = None
        if session.over.is_set():
            self._ended[session] = trio.current_time()
        self._trim()

    def _trim(self) -> None:
        oldest = trio.current_time() - self._keep_seconds
        while self._ended:
            session, since = next(iter(self._ended.items()))
            if since >= oldest and len(self._ended) <= self._keep_ended:
                break
            self._forget(session)
        while sum(self._unjudged.values()) > self._keep_bytes:
            sessions = [self._by_id[session_id] for session_id in self._unjudged]
            session = next(filter(_ended_itself, sessions), sessions[0])
            del self._unjudged[session.id]
            _let_go(session)

    def _forget(self, session: LiveSession) -> None:
        del self._ended[session]
        if self._unjudged.pop(session.id, None) is not None:
            _let_go(session)
        session.previous = session.successor = None
        if self._by_id.get(session.id) is session:
            del self._by_id[session.id]
        self.forget_name(session)


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
    if _ended_itself(session) and session.final_state is not None:
        ended_by = session.final_state.ended_by
        session.final_state = FinalState(ended_by=ended_by, rejected=(_NOT_KEPT,))
        return
    session.final_state = None
    session.failure = Failure("session_expired", "its final state was not kept any longer")


_NOT_KEPT = Rejected(
    ".", "not kept: there were too many bytes of sessions that ended before they were verified"
)
