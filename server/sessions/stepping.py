"""Sessions that are played by steps: NeMo Gym's gymnasium protocol, over the five verbs.

There the agent calls no tools. It hands over each response of the model as it came and is told what to show
the model next: the outputs of the calls in it, or a message. The agent adds up the rewards of the steps. So:

* `/reset` seeds a session, and asks the environment whether it has a message to begin with;
* a step whose response calls tools makes those calls, one after the other, as an agent that calls them by
  itself would;
* a step that calls none is for the environment to answer (`Environment.observe`). When it has nothing more to
  say, the session ends as by `/verify`: killed, captured, and only then judged. That is the one step with a
  reward.

What the agent would have sent to `/verify` at the end, the trajectory, is put together here from the steps.

There is no place in this protocol for a masked rollout: the agent knows rewards only. A failure of ours is an
error, which costs at least this rollout; a number would be a wrong measurement that nobody notices.

A step runs in the registry's nursery and is taken once, however often it is sent (`exchanges`).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import trio

from server.apart import apart
from server.errors import (
    EpisodeLost,
    Failure,
    InvalidBody,
    NoSuchSession,
    NoSuchTool,
    NotSeeded,
    SeededOtherwise,
    SessionOver,
    ShuttingDown,
    TooLong,
    TooManyCalls,
)
from server.http.incidents import reply_to
from server.http.requests import CloseRequest
from server.http.wire import Reply, dump, parse
from server.sessions.exchanges import Exchange
from server.sessions.observing import observe
from server.sessions.plays import Play

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from server.http.steps import StepCall, StepRequest
    from server.sessions.registry import Sessions
    from server.sessions.session import LiveSession
    from server.settings import Settings

_ABILITIES = {"supports_explicit_close": True, "supports_step_idempotency": True}
"""What NeMo Gym's agent wants to know: it then closes what it has reset, and names its steps."""


class Stepping:
    """The episodes of one registry. Each is forgotten with its session."""

    def __init__(self, sessions: Sessions, nursery: trio.Nursery, settings: Settings) -> None:
        """Start empty.

        Args:
            sessions: those whose episodes these are.
            nursery: where steps run.
            settings: how long a trajectory may be, and how long an environment may think.
        """
        self._sessions = sessions
        self._nursery = nursery
        self._most_bytes = settings.body_bytes
        self._observing_seconds = settings.verify_seconds
        self._plays: WeakKeyDictionary[LiveSession, Play] = WeakKeyDictionary()

    def open(self, session_id: str) -> Exchange:
        """Begin the episode of a session that was just seeded, or find it if it has begun already.

        Raises:
            NotSeeded: the session could not be had.
            SeededOtherwise: steps of it have been taken. It was not touched.
        """
        session = self._sessions.find(session_id)
        if session is not None:
            session.is_released = True  # agents that take steps post to no other path
        if session is None or session.failure is not None:
            raise NotSeeded(_NONE if session is None or session.failure is None else session.failure.reason)
        play = self._plays.get(session)
        if play is None:
            self._plays[session] = play = Play()
            self._start(play.opening, lambda: self._open(session, play))
            self._nursery.start_soon(_let_go_when_lost, session, play)
        elif play.latest is not None:
            msg = "Steps of this episode have been taken. Close it, or reset without its cookie."
            raise SeededOtherwise(msg)
        return play.opening

    def step(self, session_id: str | None, request: StepRequest, key: bytes, name: str | None) -> Exchange:
        """Take a step, or find the one that this request repeats.

        Args:
            session_id: the id in the request's cookie, if it had a good one.
            request: the step.
            key: digest of the body.
            name: the client's Idempotency-Key, if it sent one.

        Raises:
            NoSuchSession: the id is unknown.
            NoSuchTool: the session is not played by steps, so only a model can be asking.
            SeededOtherwise, SessionOver, TooManyCalls, TooLong: see there. Nothing was begun.
        """
        session, play = self._find(session_id)
        name = request.name or name
        known = play.memory.recall(key, name)
        if known is not None:
            return known
        differing = session.row.differs_in(request.row)
        if differing is not None:
            msg = f"{differing!r} is not as it was at this episode's reset."
            raise SeededOtherwise(msg)
        if any(exchange and exchange.reply is None for exchange in (play.opening, play.latest)):
            if play.latest is not None and key == play.latest_key:
                return play.latest  # sent again before it is known that whoever sent it first has gone
            msg = "This episode has a step in progress. Wait for its answer."
            raise TooManyCalls(msg)
        if play.is_over:
            raise SessionOver(_OVER)
        if sum(map(len, (*play.items, *request.items))) > self._most_bytes:
            msg = f"The episode's trajectory would be longer than {self._most_bytes} bytes."
            raise TooLong(msg)
        exchange = Exchange()
        play.remember(exchange, key, name)
        self._start(exchange, lambda: self._step(session, play, request))
        return exchange

    async def close(self, session_id: str | None) -> None:
        """End an episode and wait until its sandbox is gone, any number of times, also of an unknown one.

        Raises:
            NoSuchTool: the session lives and is not played by steps. It was not touched.
        """
        session = self._sessions.find(session_id)
        if session is None:
            return
        play = self._plays.get(session)
        if play is not None:
            play.end()
            await self._sessions.close(session_id, CloseRequest(session.row, session.episode))
        elif self._sessions.is_live(session_id):
            raise NoSuchTool

    def _find(self, session_id: str | None) -> tuple[LiveSession, Play]:
        session = self._sessions.find(session_id)
        if session is None:
            raise NoSuchSession(_NONE)
        play = self._plays.get(session)
        if play is None:
            raise NoSuchTool
        return session, play

    def _start(self, exchange: Exchange, take: Callable[[], Awaitable[Reply]]) -> None:
        self._nursery.start_soon(self._answer, exchange, take)
        self._sessions.ground.work.begin()

    async def _answer(self, exchange: Exchange, take: Callable[[], Awaitable[Reply]]) -> None:
        """Give an exchange its reply, whatever comes."""
        reply = None
        try:
            reply = await take()
        except Exception as error:  # noqa: BLE001  # the nursery is shared
            reply = reply_to(error)
        finally:
            self._sessions.ground.work.end()
            if reply is None:
                reply = reply_to(ShuttingDown("The server is shutting down."))
            exchange.answer(reply)

    async def _open(self, session: LiveSession, play: Play) -> Reply:
        with session.occupation:
            return _told(await self._observe(session, play), _ABILITIES)

    async def _step(self, session: LiveSession, play: Play, request: StepRequest) -> Reply:
        play.items += request.items
        with session.occupation:
            if request.calls:
                return _told_step(info={"tool_outputs": await self._make(session, play, request.calls)})
            return await self._listen(session, play, request)

    async def _make(
        self, session: LiveSession, play: Play, calls: Sequence[StepCall]
    ) -> list[dict[str, str]]:
        """Make calls, one after the other, as long as there is room for what they bring back.

        That is half of a trajectory: a model must not be able to fill it, and so choose not to be judged.
        """
        outputs: list[dict[str, str]] = []
        for call in calls:
            has_room = play.output_bytes < self._most_bytes // 2
            text = await self._call(session, call) if has_room else _NO_ROOM
            outputs.append({"call_id": call.id, "output": text})
            item = dump({"type": "function_call_output", **outputs[-1]})
            play.output_bytes += len(item)
            _demand_open(play)
            play.items.append(item)
        return outputs

    async def _listen(self, session: LiveSession, play: Play, request: StepRequest) -> Reply:
        """Answer what the model says: with the environment's next message, or with the reward."""
        play.said.append(request.text)
        observation = await self._observe(session, play)
        if observation is not None:
            play.items.append(dump({"role": "user", "content": observation}))
            return _told_step(observation)
        items = tuple(play.items)
        size, limiter = request.size + sum(map(len, items)), self._sessions.ground.long_bodies
        verification = await apart(size, lambda: request.verification(items), limiter)
        _demand_open(play)
        play.end()
        fields = await self._sessions.finish(session.id, verification)
        if fields.get("mask_sample"):
            kind, reason = fields["failure_kind"], fields["failure_reason"]
            msg = f"There is no reward, through no fault of the model ({kind}): {reason}."
            raise (NoSuchSession if kind == "session_expired" else EpisodeLost)(msg)
        info = {name: value for name, value in fields.items() if name != "reward"}
        return _told_step(info=info, reward=fields["reward"], terminated=True)

    async def _call(self, session: LiveSession, call: StepCall) -> str:
        """Make a tool call of the model's and return what the model is to read of it."""
        try:
            arguments: Any = parse(call.arguments.encode("utf-8", "surrogatepass"))
            if arguments is None:
                arguments = {}
            tool = self._sessions.environment.toolbox.tools.get(call.name)
            if tool is None:
                raise NoSuchTool  # noqa: TRY301  # answered like all else that goes wrong
            await self._sessions.demand(session.id, call.name)
            problems = tool.problems(arguments)
            if problems:
                raise InvalidBody([dict(problem) for problem in problems])  # noqa: TRY301  # likewise
            key = hashlib.sha256(f"{call.name}\0{call.arguments}".encode("utf-8", "surrogatepass")).digest()
            exchange = await self._sessions.call(session.id, call.name, arguments, key)
            exchange.attending += 1
            try:
                reply = await exchange.wait()
            finally:  # it was heard: the same call once more is another one
                exchange.leave(is_delivered=True)
        except Exception as error:  # noqa: BLE001  # as every route does
            reply = reply_to(error, tool=call.name, session=session.id)
        return reply.body.decode()

    async def _observe(self, session: LiveSession, play: Play) -> str | None:
        """Return what the environment says next. Raises EpisodeLost, and then the episode is over.

        Raises SessionOver too: it was closed meanwhile.
        """
        environment, said = self._sessions.environment, tuple(play.said)
        try:
            observation = await observe(environment, session, said, self._observing_seconds)
        except EpisodeLost as error:
            play.end()
            session.cut_off(Failure("creche:observe_failed", str(error)))
            raise
        _demand_open(play)
        return observation


async def _let_go_when_lost(session: LiveSession, play: Play) -> None:
    """Let go of a trajectory as soon as it is known that it is not to be judged."""
    await session.over.wait()
    if session.failure is not None:
        play.let_go()


def _demand_open(play: Play) -> None:
    if play.is_over:
        raise SessionOver(_OVER)


_NONE = "There is no session: it was never reset here, has expired, or its cookie was not sent."
_OVER = "The episode is over. A reset begins another."
_NO_ROOM = '{"detail":"The calls of this episode have brought back as much as it can hold."}'


def _told(observation: str | None, info: dict[str, Any]) -> Reply:
    return Reply(200, dump({"observation": observation, "info": info}))


def _told_step(
    observation: str | None = None,
    info: dict[str, Any] | None = None,
    reward: float = 0.0,
    *,
    terminated: bool = False,
) -> Reply:
    told = {"observation": observation, "reward": reward, "terminated": terminated, "truncated": False}
    return Reply(200, dump({**told, "info": info or {}}))
