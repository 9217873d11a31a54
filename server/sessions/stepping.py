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
from server.sessions.stepped import Episode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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
        self._episodes: WeakKeyDictionary[LiveSession, Episode] = WeakKeyDictionary()

    def open(self, session_id: str) -> Exchange:
        """Begin the episode of a session that was just seeded, or find it if it has begun already.

        Raises:
            NotSeeded: the session could not be had.
            SeededOtherwise: steps of it have been taken. It was not touched.
        """
        session = self._sessions.find(session_id)
        if session is None or session.failure is not None:
            raise NotSeeded(_NONE if session is None or session.failure is None else session.failure.reason)
        episode = self._episodes.get(session)
        if episode is None:
            self._episodes[session] = episode = Episode()
            self._start(episode.opening, lambda: self._open(session, episode))
            self._nursery.start_soon(_let_go_when_lost, session, episode)
        elif episode.latest is not None:
            msg = "Steps of this episode have been taken. Close it, or reset without its cookie."
            raise SeededOtherwise(msg)
        return episode.opening

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
        session, episode = self._find(session_id)
        name = request.name or name
        known = episode.memory.recall(key, name)
        if known is not None:
            return known
        differing = session.row.differs_in(request.row)
        if differing is not None:
            msg = f"{differing!r} is not as it was at this episode's reset."
            raise SeededOtherwise(msg)
        if any(exchange and exchange.reply is None for exchange in (episode.opening, episode.latest)):
            if episode.latest is not None and key == episode.latest_key:
                return episode.latest  # sent again before it is known that whoever sent it first has gone
            msg = "This episode has a step in progress. Wait for its answer."
            raise TooManyCalls(msg)
        if episode.is_over:
            msg = "The episode is over. A reset begins another."
            raise SessionOver(msg)
        if sum(map(len, (*episode.items, *request.items))) > self._most_bytes:
            msg = f"The episode's trajectory would be longer than {self._most_bytes} bytes."
            raise TooLong(msg)
        exchange = Exchange()
        episode.remember(exchange, key, name)
        self._start(exchange, lambda: self._step(session, episode, request))
        return exchange

    async def close(self, session_id: str | None) -> None:
        """End an episode and wait until its sandbox is gone, any number of times, also of an unknown one.

        Raises:
            NoSuchTool: the session lives and is not played by steps. It was not touched.
        """
        session = self._sessions.find(session_id)
        if session is None:
            return
        episode = self._episodes.get(session)
        if episode is not None:
            episode.end()
            await self._sessions.close(session_id, CloseRequest(session.row, session.episode))
        elif self._sessions.is_live(session_id):
            raise NoSuchTool

    def _find(self, session_id: str | None) -> tuple[LiveSession, Episode]:
        session = self._sessions.find(session_id)
        if session is None:
            raise NoSuchSession(_NONE)
        episode = self._episodes.get(session)
        if episode is None:
            raise NoSuchTool
        return session, episode

    def _start(self, exchange: Exchange, play: Callable[[], Awaitable[Reply]]) -> None:
        self._sessions.ground.work.begin()
        self._nursery.start_soon(self._answer, exchange, play)

    async def _answer(self, exchange: Exchange, play: Callable[[], Awaitable[Reply]]) -> None:
        """Give an exchange its reply, whatever comes."""
        reply = None
        try:
            reply = await play()
        except Exception as error:  # noqa: BLE001  # the nursery is shared
            reply = reply_to(error)
        finally:
            self._sessions.ground.work.end()
            if reply is None:
                reply = reply_to(ShuttingDown("The server is shutting down."))
            exchange.answer(reply)

    async def _open(self, session: LiveSession, episode: Episode) -> Reply:
        return _told(await self._observe(session, episode), _ABILITIES)

    async def _step(self, session: LiveSession, episode: Episode, request: StepRequest) -> Reply:
        episode.items += request.items
        if request.calls:
            outputs = [
                {"call_id": call.id, "output": await self._call(session, call)} for call in request.calls
            ]
            episode.items += [dump({"type": "function_call_output", **output}) for output in outputs]
            return _told_step(info={"tool_outputs": outputs})
        episode.said.append(request.text)
        observation = await self._observe(session, episode)
        if observation is not None:
            episode.items.append(dump({"role": "user", "content": observation}))
            return _told_step(observation)
        verification = request.verification(episode.items)
        verification.check()
        episode.end()
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

    async def _observe(self, session: LiveSession, episode: Episode) -> str | None:
        """Return what the environment says next. Raises EpisodeLost, and then the episode is over."""
        environment, said = self._sessions.environment, tuple(episode.said)
        try:
            return await observe(environment, session, said, self._observing_seconds)
        except EpisodeLost as error:
            episode.end()
            session.cut_off(Failure("creche:observe_failed", str(error)))
            raise


async def _let_go_when_lost(session: LiveSession, episode: Episode) -> None:
    """Let go of a trajectory as soon as it is known that it is not to be judged."""
    await session.over.wait()
    if session.failure is not None:
        episode.let_go()


_NONE = "There is no session: it was never reset here, has expired, or its cookie was not sent."


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
