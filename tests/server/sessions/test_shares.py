"""Memory for what dead sessions leave behind."""

from __future__ import annotations

from functools import partial

import attrs
import pytest
import trio
import trio.testing

from sandbox.limits import Limits
from server.environment import Rollout, Verdict
from server.http.requests import VerifyRequest
from server.sessions.registry import Sessions
from server.sessions.shares import StateMemory
from server.states.reference import METADATA_KEY
from tests.server.worlds import Counting, CountTask, Player, body_of, open_game, response

ROW = {"expected": 0}
SMALL = Limits(final_state_bytes=60, log_bytes=40)


async def test_who_finds_no_room_waits_in_line(autojump_clock: trio.testing.MockClock) -> None:
    memory = StateMemory(250)
    ends: list[tuple[str, float]] = []

    async def hold(name: str, seconds: float) -> None:
        with await memory.take(SMALL):
            await trio.sleep(seconds)
            ends.append((name, trio.current_time()))

    async with trio.open_nursery() as nursery:
        for name, seconds in (("a", 10), ("b", 20), ("c", 1), ("d", 1)):
            nursery.start_soon(hold, name, seconds)
            await trio.testing.wait_all_tasks_blocked()
    assert [("a", 10.0), ("c", 11.0), ("d", 12.0), ("b", 20.0)] == ends
    assert 0 == memory.taken_bytes


async def test_a_share_that_shrinks_lets_others_in(autojump_clock: trio.testing.MockClock) -> None:
    memory = StateMemory(100)
    first = await memory.take(SMALL)
    first.resize(1)
    with trio.move_on_after(10) as patience:
        await memory.take(SMALL)
    assert patience.cancelled_caught
    first.give_back()
    first.give_back()
    assert 0 == memory.taken_bytes
    with trio.fail_after(10):
        await memory.take(SMALL)


async def test_one_for_which_all_is_too_little_comes_alone(autojump_clock: trio.testing.MockClock) -> None:
    memory = StateMemory(10)
    with trio.fail_after(10):
        share = await memory.take(SMALL)
    with trio.move_on_after(10) as patience:
        await memory.take(SMALL)
    assert patience.cancelled_caught  # and one that gives up leaves the line free
    share.give_back()
    with trio.fail_after(10):
        await memory.take(SMALL)


async def test_who_grows_does_not_wait_and_who_comes_after_does(
    autojump_clock: trio.testing.MockClock,
) -> None:
    memory = StateMemory(300)
    share = await memory.take(SMALL)
    share.resize(1000)
    with trio.move_on_after(10) as patience:
        await memory.take(SMALL)
    assert (True, 1000) == (patience.cancelled_caught, memory.taken_bytes)


@attrs.define(eq=False)
class Together(Counting):
    """Notes how many verdicts are being made at once; each waits for `wanted` of them, but not for ever."""

    wanted: int
    inside: int = 0
    most: int = 0
    come: trio.Event = attrs.field(factory=trio.Event)

    async def verify(self, rollout: Rollout[CountTask]) -> Verdict:
        self.inside += 1
        self.most = max(self.most, self.inside)
        if self.most >= self.wanted:
            self.come.set()
        with trio.move_on_after(0.3 if self.wanted > 3 else 60):
            await self.come.wait()
        self.inside -= 1
        return await super().verify(rollout)


@pytest.mark.parametrize(("state_bytes", "at_once"), [(1, 1), (1 << 30, 3)])
async def test_only_so_many_sessions_are_captured_as_there_is_room_for(
    state_bytes: int, at_once: int
) -> None:
    environment = Together(wanted=3 if at_once == 3 else 4)
    verdicts: list[float] = []

    async def play(player: Player) -> None:
        verdicts.append((await player.verify(ROW))["reward"])

    async with open_game(environment, state_bytes=state_bytes, max_verifications=8) as sessions:
        players = [Player(sessions) for _ in range(3)]
        for player in players:
            await player.seed(ROW)
        async with trio.open_nursery() as nursery:
            for player in players:
                nursery.start_soon(partial(play, player))
        assert 0 == sessions.ground.states.taken_bytes
    assert ([1.0] * 3, at_once) == (verdicts, environment.most)


async def test_what_ends_without_a_verdict_holds_no_room() -> None:
    async with open_game(state_bytes=1) as sessions:
        closed, broken, judged = players = [Player(sessions) for _ in range(3)]
        for player in players:
            await player.seed(ROW)
        await closed.close(ROW)
        await broken.call("bash", command="kill -9 1; kill -9 $PPID")
        assert 1.0 == (await judged.verify(ROW))["reward"]
        assert [1.0, 1.0] == [(await player.verify(ROW))["reward"] for player in (closed, broken)]
        assert 0 == sessions.ground.states.taken_bytes


async def test_a_state_that_was_kept_is_read_when_there_is_room_for_it() -> None:
    verdicts: list[float] = []

    async def judge_again(sessions: Sessions, reference: str) -> None:
        said = {**response(), "metadata": {METADATA_KEY: reference}}
        request = VerifyRequest.parse(body_of({**ROW, "response": said}))
        verdicts.append((await sessions.finish(None, request))["reward"])

    async with open_game(state_bytes=1) as sessions:
        player = Player(sessions)
        await player.seed(ROW)
        reference = (await player.verify(ROW))["receipt"]["state"]
        others = await sessions.ground.states.take(SMALL)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(judge_again, sessions, reference)
            with trio.fail_after(60):
                while not sessions.ground.states._line.locked():  # noqa: ASYNC110  # nobody tells
                    await trio.sleep(0.01)
            assert [] == verdicts
            others.give_back()
        assert ([1.0], 0) == (verdicts, sessions.ground.states.taken_bytes)
