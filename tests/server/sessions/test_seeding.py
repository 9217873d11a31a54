"""Sessions that an environment server names: one id is one session, closed once and for all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from server.errors import InvalidBody, NotSeeded, SeededOtherwise, SessionOver
from server.http.cookies import CookieSigner
from server.http.requests import CloseRequest, SeedRequest, VerifyRequest
from server.sessions.registry import Sessions
from tests.server.worlds import CountTask, Player, body_of, open_game, response

DATA = {"expected": 3}
SIGNER = CookieSigner("a secret of at least sixteen characters")


def envelope(session_id: str = "resources-session-1", **other: Any) -> dict[str, Any]:
    return {
        "resources_session_id": session_id,
        "episode_id": {"rollout_id": "0-0", "attempt": 0},
        "task_id": {"taskset": "t", "task_id": "0"},
        "task_data": DATA,
        **other,
    }


def closing(session_id: str = "resources-session-1", rollout: str = "0-0") -> CloseRequest:
    body = {"resources_session_id": session_id, "episode_id": {"rollout_id": rollout, "attempt": 0}}
    return CloseRequest.parse(json.dumps(body).encode())


@pytest.fixture(name="sessions")
async def _sessions() -> AsyncIterator[Sessions]:
    async with open_game() as sessions:
        yield sessions


async def seed(sessions: Sessions, **other: Any) -> str:
    """Seed as an environment server does: without a cookie."""
    return await sessions.seed(SeedRequest.parse(body_of(envelope(**other)), CountTask), SIGNER.new_id())


async def test_a_rollout_of_an_environment_server(sessions: Sessions) -> None:
    player = Player(sessions, await seed(sessions))
    await player.call("add", by=3)
    flat = {**DATA, "responses_create_params": {"input": []}}
    assert 1.0 == (await player.verify(flat))["reward"]
    await sessions.close(player.session_id, closing())
    await sessions.close(None, closing())
    assert 0 == sessions.describe()["sandboxes"]


async def test_the_same_id_again_is_the_same_session_without_a_cookie(sessions: Sessions) -> None:
    first = await seed(sessions)
    await Player(sessions, first).call("add", by=1)
    assert first == await seed(sessions)
    assert {"count": 2, "calls": 2} == await Player(sessions, first).call("add", by=1)


async def test_seeds_at_once_allocate_once_and_all_get_the_answer_of_the_first(sessions: Sessions) -> None:
    ids: list[str] = []

    async def one() -> None:
        ids.append(await seed(sessions))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(one)
    assert (8, 1) == (len(ids), len(set(ids)))
    assert 1 == sessions.describe()["sessions"]["live"]


@pytest.mark.parametrize(
    "other",
    [
        {"task_data": {"expected": 4}},
        {"episode_id": {"rollout_id": "0-1", "attempt": 0}},
        {"episode_id": {"rollout_id": "0-0", "attempt": 1}},
    ],
)
async def test_an_id_belongs_to_one_episode_and_one_row(sessions: Sessions, other: dict[str, Any]) -> None:
    session_id = await seed(sessions)
    with pytest.raises(SeededOtherwise):
        await seed(sessions, **other)
    if "episode_id" in other:
        close = CloseRequest.parse(body_of(envelope(**other)))
        with pytest.raises(SeededOtherwise):
            await sessions.close(None, close)
    assert {"count": 3, "calls": 1} == await Player(sessions, session_id).call("add", by=3)


async def test_a_closed_id_is_spent(sessions: Sessions) -> None:
    await seed(sessions)
    for _ in range(2):
        await sessions.close(None, closing())
        with pytest.raises(SessionOver):
            await seed(sessions)


async def test_a_close_before_the_seed_keeps_it_from_starting_anything(sessions: Sessions) -> None:
    await sessions.close(None, closing())
    with pytest.raises(SessionOver):
        await seed(sessions)
    assert 0 == sum(count for phase, count in sessions.describe()["sessions"].items() if phase != "at_most")


async def test_a_close_takes_a_seed_out_of_the_line() -> None:
    async with open_game(max_sessions=1) as sessions:
        await Player(sessions).seed(DATA)
        async with trio.open_nursery() as nursery:
            refused = trio.Event()

            async def wait_in_line() -> None:
                with pytest.raises(NotSeeded):
                    await seed(sessions)
                refused.set()

            nursery.start_soon(wait_in_line)
            await trio.testing.wait_all_tasks_blocked()
            with trio.fail_after(20):
                await sessions.close(None, closing())
                await refused.wait()
        assert 1 == sessions.describe()["sandboxes"]


async def test_an_episode_without_a_session_is_refused_at_its_seed() -> None:
    async with open_game(max_sessions=1, queue_seconds=0.1) as sessions:
        await Player(sessions).seed(DATA)
        with pytest.raises(NotSeeded, match="no sandbox became free"):
            await seed(sessions)


async def test_the_id_and_not_the_cookie_closes_a_session(sessions: Sessions) -> None:
    player = Player(sessions, await seed(sessions))
    bodies: list[dict[str, Any]] = [{}, DATA, {"responses_create_params": {}}]
    for body in bodies:
        with pytest.raises(Exception, match="Not Found"):
            await player.close(body)
    assert {"count": 3, "calls": 1} == await player.call("add", by=3)


@pytest.mark.parametrize(
    ("other", "loc"),
    [
        ({"resources_session_id": ""}, ["body", "resources_session_id"]),
        ({"resources_session_id": 7}, ["body", "resources_session_id"]),
        ({"episode_id": {}}, ["body", "episode_id", "rollout_id"]),
        ({"episode_id": {"rollout_id": "0-0", "attempt": "1"}}, ["body", "episode_id", "attempt"]),
        ({"task_id": "0"}, ["body", "task_id"]),
        ({"task_data": []}, ["body", "task_data"]),
        ({"task_data": {"expected": "3"}}, ["body", "task_data", "expected"]),
    ],
)
async def test_what_does_not_fit_is_named(other: dict[str, Any], loc: list[str]) -> None:
    with pytest.raises(InvalidBody) as caught:
        SeedRequest.parse(body_of(envelope() | other), CountTask)
    assert loc == caught.value.details[0]["loc"]


async def test_a_seed_whose_reply_nobody_heard_leaves_nothing(sessions: Sessions) -> None:
    player = Player(sessions)
    lost = await player.seed(DATA)
    sessions.note_seed_reply(lost, is_delivered=False)
    with trio.fail_after(20):
        while sessions.describe()["sandboxes"]:  # noqa: ASYNC110  # looks from outside
            await trio.sleep(0.01)
    heard = await Player(sessions).seed(DATA)
    sessions.note_seed_reply(heard, is_delivered=True)
    sessions.note_seed_reply(heard, is_delivered=False)
    assert 1 == sessions.describe()["sessions"]["live"]


async def test_a_named_session_outlives_a_lost_reply(sessions: Sessions) -> None:
    session_id = await seed(sessions)
    sessions.note_seed_reply(session_id, is_delivered=False)
    assert session_id == await seed(sessions)
    assert {"count": 3, "calls": 1} == await Player(sessions, session_id).call("add", by=3)


async def test_who_hangs_up_in_the_line_can_come_again_under_the_same_name() -> None:
    async with open_game(max_sessions=1) as sessions:
        first = Player(sessions)
        await first.seed(DATA)
        with trio.move_on_after(0.1):
            await seed(sessions)
        await first.verify(DATA)
        with trio.fail_after(20):
            assert {"count": 3, "calls": 1} == await Player(sessions, await seed(sessions)).call("add", by=3)


@pytest.mark.parametrize(
    ("row", "rollout"),
    [
        ({"_ng_task_index": 3, "_ng_rollout_index": 1}, "3-1"),
        ({"_ng_task_index": 3, "_ng_rollout_index": 1, "_ng_attempt_index": 2}, "3-1-a2"),
        ({"_ng_rollout_id": "mine", "_ng_task_index": 3, "_ng_attempt_index": 0}, "mine"),
        ({"_ng_task_index": 3}, None),
    ],
)
def test_a_row_says_which_rollout_it_is(row: dict[str, Any], rollout: str | None) -> None:
    assert rollout == SeedRequest.parse(body_of(row), dict).rollout
    assert "7-7" == SeedRequest.parse(body_of(row), dict, "7-7").rollout


def test_a_verify_of_either_generation_fits_its_seed() -> None:
    seeded = SeedRequest.parse(body_of(envelope()), CountTask).row
    flat = {**DATA, "responses_create_params": {"input": []}, "response": response()}
    assert seeded.differs_in(VerifyRequest.parse(body_of(flat)).row) is None
