"""Sessions in real sandboxes: from seed to verdict, by every road."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from structlog.testing import capture_logs

from server.environment import Environment, Rollout, Verdict
from server.errors import (
    InvalidBody,
    NoSuchSession,
    NoSuchTool,
    SeededOtherwise,
    SessionLost,
    SessionOver,
    ShuttingDown,
    TooManyCalls,
)
from server.http.requests import VerifyRequest
from server.receipts.keys import Signer
from server.sessions.registry import Sessions
from tests.server.worlds import Answering, Counting, CountTask, Player, body_of, open_game, response

ROW = {"expected": 3}


@pytest.fixture(name="sessions")
async def _sessions() -> AsyncIterator[Sessions]:
    async with open_game() as sessions:
        yield sessions


@pytest.fixture(name="player")
def _player(sessions: Sessions) -> Player:
    return Player(sessions)


async def wait_for_phase(sessions: Sessions, phase: str, count: int) -> None:
    """Wait until as many sessions are in a phase."""
    with trio.fail_after(20):
        while sessions.describe()["sessions"][phase] != count:  # noqa: ASYNC110  # looks from outside
            await trio.sleep(0.01)


async def test_a_rollout_is_seeded_played_and_judged(player: Player) -> None:
    await player.seed({"expected": 3, "start": 1})
    assert {"count": 2, "calls": 1} == await player.call("add", by=1)
    assert {"count": 3, "calls": 2} == await player.call("add", by=1)
    fields = await player.verify({"expected": 3, "start": 1}, "bye")
    calls = fields.pop("receipt")["calls"]
    assert {"count": 2, "left_out": 0, "chain": calls["chain"]} == calls
    assert {
        "reward": 1.0,
        "count": 3,
        "naps": 0,
        "calls": 2,
        "said": "bye",
        "ended_by": "finished",
        "tier": "full",
    } == fields
    told = player.sessions.describe()
    assert (0, 0) == (told["sandboxes"], told["posture_mismatches"])


async def test_a_wrong_final_state_is_worth_nothing_and_still_counts(player: Player) -> None:
    await player.seed(ROW)
    fields = await player.verify(ROW)
    assert 0.0 == fields["reward"]
    assert "mask_sample" not in fields


async def test_sixty_four_sessions_do_not_see_each_other(sessions: Sessions) -> None:
    async def play(number: int) -> None:
        player = Player(sessions)
        row = {"expected": number + 2, "start": number}
        await player.seed(row)
        for step in (1, 2):
            assert {"count": number + step, "calls": step} == await player.call("add", by=1)
        assert 1.0 == (await player.verify(row))["reward"]

    async with trio.open_nursery() as nursery:
        for number in range(64):
            nursery.start_soon(play, number)
    assert 0 == sessions.describe()["sandboxes"]


# --- seeds ---


async def test_seeds_without_a_cookie_are_sessions_of_their_own(sessions: Sessions) -> None:
    assert await Player(sessions).seed(ROW) != await Player(sessions).seed(ROW)


async def test_the_same_seed_again_is_the_same_session(player: Player) -> None:
    first = await player.seed(ROW)
    await player.call("add", by=1)
    assert first == await player.seed(ROW)
    assert {"count": 2, "calls": 2} == await player.call("add", by=1)


async def test_seeds_at_once_with_one_cookie_are_one_session(sessions: Sessions) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(Player(sessions, "0" * 32).seed, ROW)
    assert 1 == sessions.describe()["sessions"]["live"]


async def test_seeds_at_once_with_one_idempotency_key_are_one_session(sessions: Sessions) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(Player(sessions).seed, ROW, "key-1")
    assert 1 == sessions.describe()["sessions"]["live"]


async def test_a_live_session_is_never_seeded_with_another_row(player: Player) -> None:
    await player.seed(ROW)
    await player.call("add", by=3)
    with pytest.raises(SeededOtherwise):
        await player.seed({"expected": 4})
    assert 1.0 == (await player.verify(ROW))["reward"]


async def test_after_its_verdict_a_cookie_can_seed_anew(player: Player) -> None:
    first = await player.seed(ROW)
    await player.verify(ROW)
    assert first != await player.seed(ROW)
    assert {"count": 1, "calls": 1} == await player.call("add", by=1)


async def test_a_seed_that_fails_is_a_masked_rollout(player: Player) -> None:
    row = {"expected": 3, "seed": "raise"}
    await player.seed(row)
    with pytest.raises(SessionLost):
        await player.call("add", by=1)
    fields = await player.verify(row)
    assert (0.0, True) == (fields["reward"], fields["mask_sample"])
    assert "creche:seed_failed" == fields["failure_kind"] == fields["_ng_failure_class"]
    assert "no such luck" not in fields["failure_reason"]


async def test_a_seed_that_outlasts_its_session_is_masked(player: Player) -> None:
    row = {"expected": 3, "seed": "dawdle", "limits": {"session_seconds": 0.5}}
    await player.seed(row)
    with pytest.raises(SessionLost):
        await player.call("add", by=1)
    fields = await player.verify(row)
    reason = "seeding took longer than 0.5 s"
    assert ("creche:seed_failed", reason) == (fields["failure_kind"], fields["failure_reason"])


async def test_a_row_may_lower_limits_and_never_raise_them(player: Player) -> None:
    with pytest.raises(InvalidBody, match="call_seconds"):
        await player.seed({"expected": 3, "limits": {"call_seconds": 10_000}})
    # Writing the session's file is a call, too: it must not be the one that takes too long.
    await player.seed({"expected": 3, "limits": {"call_seconds": 3.0}})
    assert "timeout" == (await player.call("nap", seconds=60.0))["outcome"]


@pytest.mark.parametrize("seed", ["LookupError", "ValueError"])
async def test_limits_that_raise_are_a_masked_rollout(player: Player, seed: str) -> None:
    row = {"expected": 3, "seed": f"limits raise {seed}"}
    await player.seed(row)
    with pytest.raises(SessionLost):
        await player.call("add", by=1)
    fields = await player.verify(row)
    assert ("creche:seed_failed", f"limits raised {seed}") == (
        fields["failure_kind"],
        fields["failure_reason"],
    )
    assert 0 == player.sessions.describe()["sandboxes"]


# --- the line ---


async def test_seeds_over_the_ceiling_wait_in_line_and_are_served_in_order() -> None:
    served: list[int] = []
    async with open_game(max_sessions=1) as sessions, trio.open_nursery() as nursery:

        async def play(number: int) -> None:
            player = Player(sessions)
            await player.seed(ROW)
            served.append(number)
            await player.verify(ROW)

        first = Player(sessions)
        await first.seed(ROW)
        for number in range(6):
            nursery.start_soon(play, number)
            await wait_for_phase(sessions, "waiting", number + 1)
        await first.verify(ROW)
    assert list(range(6)) == served


async def test_a_seed_that_waited_too_long_is_masked() -> None:
    async with open_game(max_sessions=1, queue_seconds=0.2) as sessions:
        await Player(sessions).seed(ROW)
        late = Player(sessions)
        await late.seed(ROW)
        fields = await late.verify(ROW)
        assert ("provider_unavailable", True) == (fields["failure_kind"], fields["mask_sample"])


async def test_a_seed_too_many_in_line_is_masked_at_once() -> None:
    async with open_game(max_sessions=1, max_waiting=1) as sessions, trio.open_nursery() as nursery:
        await Player(sessions).seed(ROW)
        nursery.start_soon(Player(sessions).seed, ROW)
        await wait_for_phase(sessions, "waiting", 1)
        surplus = Player(sessions)
        with trio.fail_after(20):
            await surplus.seed(ROW)
        fields = await surplus.verify(ROW)
        assert ("provider_unavailable", "1 seeds are waiting already") == (
            fields["failure_kind"],
            fields["failure_reason"],
        )
        nursery.cancel_scope.cancel()


async def test_who_hangs_up_in_line_leaves_the_line() -> None:
    async with open_game(max_sessions=1) as sessions:
        first = Player(sessions)
        await first.seed(ROW)
        with trio.move_on_after(0.2):
            await Player(sessions).seed(ROW)
        await wait_for_phase(sessions, "waiting", 0)
        await first.verify(ROW)
        with trio.fail_after(20):
            await Player(sessions).seed(ROW)
        assert 1 == sessions.describe()["sessions"]["live"]


# --- calls ---


async def test_a_call_goes_on_when_its_client_hangs_up_and_a_retry_gets_its_reply(player: Player) -> None:
    await player.seed(ROW)
    with trio.move_on_after(0.3):
        await player.call("nap", deliver=False, seconds=1.0)
    assert {"slept": 1.0} == await player.call("nap", seconds=1.0)
    assert 1 == (await player.verify(ROW))["naps"]


async def test_a_reply_that_was_lost_is_given_again(player: Player) -> None:
    await player.seed(ROW)
    assert {"count": 1, "calls": 1} == await player.call("add", deliver=False, by=1)
    assert {"count": 1, "calls": 1} == await player.call("add", by=1)


async def test_equal_calls_whose_replies_arrived_are_two_calls(player: Player) -> None:
    await player.seed(ROW)
    assert {"count": 1, "calls": 1} == await player.call("add", by=1)
    assert {"count": 2, "calls": 2} == await player.call("add", by=1)


async def test_an_idempotency_key_names_one_call_however_often(player: Player) -> None:
    await player.seed(ROW)
    replies = [await (await player.begin("add", "key-1", by=1)).wait() for _ in range(3)]
    assert 1 == len({reply.body for reply in replies})
    assert {"count": 2, "calls": 2} == await player.call("add", by=1)


async def test_calls_on_different_lanes_run_side_by_side(player: Player) -> None:
    await player.seed(ROW)
    await player.call("add", by=1)
    await player.begin("nap", seconds=60.0)
    with trio.fail_after(20):
        assert {"count": 2, "calls": 2} == await player.call("add", by=1)


async def test_a_session_takes_only_so_many_calls_at_once(player: Player) -> None:
    await player.seed(ROW)
    for _ in range(32):
        await player.begin("nap", os.urandom(4).hex(), seconds=5.0)
    with pytest.raises(TooManyCalls):
        await player.begin("nap", seconds=5.0)


async def test_without_a_session_there_is_an_answer_that_a_model_understands(sessions: Sessions) -> None:
    with pytest.raises(NoSuchSession, match="never seeded"):
        await Player(sessions, "0" * 32).call("add", by=1)


# --- ends ---


async def test_a_verdict_is_remembered(player: Player) -> None:
    await player.seed(ROW)
    await player.call("add", by=3)
    first = await player.verify(ROW)
    assert first is await player.verify(ROW)


async def test_verifies_at_once_are_one_verdict(player: Player) -> None:
    await player.seed(ROW)
    verdicts: list[Any] = []

    async def verify() -> None:
        verdicts.append(await player.verify(ROW))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(verify)
    assert all(verdict is verdicts[0] for verdict in verdicts)


async def test_who_hangs_up_during_a_verify_finds_the_verdict_later(player: Player) -> None:
    await player.seed(ROW)
    with trio.move_on_after(0):
        await player.verify(ROW)
    assert 0.0 == (await player.verify(ROW))["reward"]


async def test_after_the_verdict_tools_say_that_the_session_is_finished(player: Player) -> None:
    await player.seed(ROW)
    await player.verify(ROW)
    with pytest.raises(SessionOver, match="session finished"):
        await player.call("add", by=1)


async def test_a_call_in_progress_is_answered_when_its_session_is_verified(player: Player) -> None:
    await player.seed(ROW)
    exchange = await player.begin("nap", seconds=60.0)
    with trio.fail_after(20):
        await player.verify(ROW)
        assert 409 == (await exchange.wait()).status


async def test_a_verify_with_another_row_is_no_verify(player: Player) -> None:
    await player.seed(ROW)
    for row in ({"expected": 4}, {}, {"other": 1}):
        with pytest.raises(NoSuchTool):
            await player.verify(row)
    assert {"count": 3, "calls": 1} == await player.call("add", by=3)
    assert 1.0 == (await player.verify({**ROW, "_ng_task_index": 0, "agent_ref": {"name": "a"}}))["reward"]


async def test_a_closed_session_is_judged_by_what_it_left(player: Player) -> None:
    await player.seed(ROW)
    await player.call("add", by=3)
    await player.close(ROW)
    await player.close(ROW)
    assert 0 == player.sessions.describe()["sandboxes"]
    with pytest.raises(SessionOver):
        await player.call("add", by=1)
    fields = await player.verify(ROW)
    assert (1.0, "closed") == (fields["reward"], fields["ended_by"])


async def test_a_model_that_closes_and_seeds_anew_does_not_escape_its_verdict(player: Player) -> None:
    await player.seed(ROW)
    await player.close(ROW)
    await player.seed({"expected": 0})
    fields = await player.verify(ROW)
    assert (0.0, "closed") == (fields["reward"], fields["ended_by"])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"x": 1},
        {"expected": 0},
        {
            "resources_session_id": "made up",
            "episode_id": {"rollout_id": "0"},
            "task_id": {"taskset": "t", "task_id": "0"},
            "task_data": {},
        },
    ],
)
async def test_a_model_that_breaks_its_session_gets_no_other_for_its_verdict(body: dict[str, Any]) -> None:
    async with open_game(Lenient()) as sessions:
        player = Player(sessions)
        seeded = await player.seed(ROW)
        await player.call("python", code="import os; os.write(4, b'x' * 9)")
        await wait_for_phase(sessions, "over", 1)
        for _ in range(2):  # to close what is over is never refused, and shows nothing
            with pytest.raises(SeededOtherwise):
                await player.seed(body)
            await player.close({})
        assert seeded == player.session_id
        fields = await player.verify(ROW)
        assert (ROW["expected"], "protocol_violation") == (fields["judged"], fields["ended_by"])


class Lenient(Environment[dict[str, Any]]):
    """Has something to say of any row."""

    tools = ("python",)

    async def verify(self, rollout: Rollout[dict[str, Any]]) -> Verdict:
        fields = {"judged": rollout.task.get("expected"), "ended_by": rollout.final_state.ended_by}
        return Verdict(0.0, fields)


async def test_a_verify_finds_its_session_however_many_its_cookie_has_seeded_since(player: Player) -> None:
    await player.seed(ROW)
    await player.close(ROW)
    for number in range(10):
        row = {"expected": -number}
        await player.seed(row)
        await player.close(row)
    fields = await player.verify(ROW)
    assert (0.0, "closed") == (fields["reward"], fields["ended_by"])


async def test_who_hung_up_in_line_can_seed_another_row_with_the_same_cookie() -> None:
    async with open_game(max_sessions=1) as sessions:
        first, other = Player(sessions), Player(sessions, "0" * 32)
        await first.seed(ROW)
        with trio.move_on_after(0.1):
            await other.seed({"expected": 4})
        await wait_for_phase(sessions, "waiting", 0)
        await first.verify(ROW)
        await other.seed({"expected": 5})
        assert {"count": 3, "calls": 1} == await other.call("add", by=3)


async def test_closing_what_is_unknown_is_fine(sessions: Sessions) -> None:
    await Player(sessions).close({})
    await Player(sessions, "0" * 32).close({})


async def test_a_close_that_does_not_show_whose_session_it_is_is_no_close(player: Player) -> None:
    await player.seed(ROW)
    for body in (
        {},
        {"expected": 4},
        {"resources_session_id": "guessed", "episode_id": {"rollout_id": "0-0"}},
    ):
        with pytest.raises(NoSuchTool):
            await player.close(body)
    assert {"count": 3, "calls": 1} == await player.call("add", by=3)


async def test_an_idle_session_expires_and_is_masked(player: Player) -> None:
    row = {"expected": 3, "limits": {"idle_seconds": 0.3}}
    await player.seed(row)
    await wait_for_phase(player.sessions, "over", 1)
    assert 0 == player.sessions.describe()["sandboxes"]
    with pytest.raises(NoSuchSession, match="expired"):
        await player.call("add", by=1)
    assert "session_expired" == (await player.verify(row))["failure_kind"]


async def test_a_call_keeps_a_session_from_being_idle(player: Player) -> None:
    row = {"expected": 3, "limits": {"idle_seconds": 2.0}}
    await player.seed(row)
    assert {"slept": 3.0} == await player.call("nap", seconds=3.0)
    assert {"count": 3, "calls": 1} == await player.call("add", by=3)


async def test_a_session_that_takes_too_long_is_judged_by_what_it_left(player: Player) -> None:
    # The time begins before the sandbox is made; the first call must have ended within it.
    row = {"expected": 3, "limits": {"session_seconds": 5.0}}
    await player.seed(row)
    await player.call("add", by=3)
    assert (409, "session over (session_deadline): it takes no more calls.") == await player.call(
        "nap", seconds=60.0
    )
    fields = await player.verify(row)
    assert (1.0, "session_deadline") == (fields["reward"], fields["ended_by"])


@pytest.mark.parametrize("depth", [300, 600, 900, 5000])
async def test_fields_too_deep_for_a_receipt_mask_their_rollout_at_most(depth: int) -> None:
    async with open_game(Deep()) as sessions:
        player, row = Player(sessions), {"expected": depth}
        await player.seed(row)
        with capture_logs():
            fields = await player.verify(row)
        assert fields.get("failure_kind") in {None, "verifier_error"}
        assert "signature" in fields["receipt"]
        assert 0.0 == (await player.verify(row))["reward"]
        await player.seed(row)
        assert "2" == (await player.call("python", code="1 + 1"))["result"]


async def test_fields_of_any_depth_are_told_or_masked_without_a_session_too() -> None:
    with capture_logs():  # as tests log, a traceback for each that is masked would take long
        async with open_game(Deep()) as sessions:
            for depth in range(200, 1100):
                request = VerifyRequest.parse(body_of({"expected": depth, "response": response()}))
                fields = await sessions.finish(None, request)
                assert b'"reward":0.0' in request.echo(fields)


class Deep(Environment[CountTask]):
    """Says something as deep as the row wants."""

    stateless = True
    tools = ("python",)

    async def verify(self, rollout: Rollout[CountTask]) -> Verdict:
        deep: list[Any] = []
        for _ in range(rollout.task.expected):
            deep = [deep]
        return Verdict(0.0, {"deep": deep})


async def test_a_verifier_that_raises_masks_the_rollout(player: Player) -> None:
    row = {"expected": 3, "judge": "raise"}
    await player.seed(row)
    fields = await player.verify(row)
    assert ("verifier_error", True, 0.0) == (fields["failure_kind"], fields["mask_sample"], fields["reward"])
    assert "no such luck" not in str(fields)


@pytest.mark.orphans
async def test_a_session_whose_cage_dies_is_masked_and_the_next_one_lives(player: Player) -> None:
    await player.seed(ROW)
    # A server that other tests share may be a child of ours, too; its keepers are not.
    keepers = [pid for pid in children_of(os.getpid()) if is_keeper(pid)]
    assert keepers
    for zygote in [pid for keeper in keepers for pid in children_of(keeper)]:
        os.kill(zygote, signal.SIGKILL)
    await wait_for_phase(player.sessions, "over", 1)
    with pytest.raises(SessionLost):
        await player.call("add", by=1)
    assert "session_lost" == (await player.verify(ROW))["failure_kind"]
    await player.seed(ROW)
    assert {"count": 1, "calls": 1} == await player.call("add", by=1)


def is_keeper(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):  # it has just been reaped
        return b"sandbox.inside.cage" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def children_of(pid: int) -> list[int]:
    """Return the children of all of a process's threads."""
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # that thread has just ended
            children += map(int, (task / "children").read_text().split())
    return children


async def test_a_shutdown_waits_for_calls_in_progress_and_answers_those_that_take_too_long(
    sessions: Sessions,
) -> None:
    quick, slow = Player(sessions), Player(sessions)
    await quick.seed(ROW)
    await slow.seed(ROW)
    await quick.call("nap", seconds=0.0)  # starts the lane, which takes the most time
    short, long = await quick.begin("nap", seconds=0.3), await slow.begin("nap", seconds=60.0)
    with trio.fail_after(20):
        await sessions.drain(4.0)
        assert (200, 503) == ((await short.wait()).status, (await long.wait()).status)
    await wait_for_phase(sessions, "over", 2)
    with pytest.raises(ShuttingDown):
        await quick.call("add", by=1)
    assert 0 == sessions.describe()["sandboxes"]


async def test_a_session_that_is_being_killed_refuses_calls_in_words(player: Player) -> None:
    await player.seed(ROW)
    session = player.sessions.find(player.session_id)
    assert session is not None
    player.sessions.cut_off()
    refused = 0
    with trio.fail_after(20):
        while not session.over.is_set():
            try:
                exchange = await player.begin("add", os.urandom(4).hex(), by=1)
            except ShuttingDown:
                refused += 1
            else:
                assert (await exchange.wait()).status in {200, 503}  # made just before, or cut off
            await trio.lowlevel.checkpoint()
        assert refused
        await player.sessions.ground.work.wait_quiet()


async def test_leaving_the_block_ends_every_session() -> None:
    async with open_game() as sessions:
        for _ in range(3):
            await Player(sessions).seed(ROW)
    assert 0 == sessions.describe()["sandboxes"]


# --- verifying without a session ---


async def test_without_a_session_a_stateful_rollout_is_masked(sessions: Sessions) -> None:
    assert "session_lost" == (await Player(sessions).verify(ROW))["failure_kind"]
    assert "session_expired" == (await Player(sessions, "0" * 32).verify(ROW))["failure_kind"]


async def test_without_a_session_a_stateless_rollout_is_judged_again() -> None:
    async with open_game(Answering()) as sessions:
        assert 1.0 == (await Player(sessions).verify(ROW, "it is 3"))["reward"]
        assert 0.0 == (await Player(sessions).verify(ROW, "it is 4"))["reward"]
        with pytest.raises(InvalidBody):
            await Player(sessions).verify({"expected": "3"})


# --- memory ---


async def test_ended_sessions_are_forgotten_after_a_while() -> None:
    async with open_game(record_seconds=0.2) as sessions:
        player = Player(sessions)
        await player.seed(ROW)
        await player.verify(ROW)
        await trio.sleep(0.3)
        await Player(sessions).seed(ROW)
        assert 0 == sessions.describe()["sessions"]["over"]


async def test_a_session_is_remembered_while_it_is_judged_and_for_a_while_afterwards() -> None:
    environment = Pondering()
    async with open_game(environment, record_seconds=1.5) as sessions, trio.open_nursery() as nursery:
        player = Player(sessions)
        await player.seed(ROW)
        nursery.start_soon(player.verify, ROW)
        await environment.asked.wait()
        await trio.sleep(1.6)
        await Player(sessions).seed(ROW)  # whenever a session is added, what is too old goes
        environment.answer.set()
        assert 1.0 == (await player.verify(ROW))["reward"]
        await Player(sessions).seed(ROW)
        assert 1.0 == (await player.verify(ROW))["reward"]


class Pondering(Counting):
    """Judges when it is told to."""

    def __init__(self) -> None:
        self.asked, self.answer = trio.Event(), trio.Event()

    async def verify(self, rollout: Rollout[CountTask]) -> Verdict:
        self.asked.set()
        await self.answer.wait()
        return Verdict(1.0)


async def test_the_receipt_of_much_is_written_in_a_thread(player: Player) -> None:
    await player.seed(ROW)
    await player.call("bash", command="head -c 600000 /dev/zero > big")
    verdicts = player.sessions._verdicts
    signer = NotingSigner(verdicts._notary.signer)
    verdicts._notary = attrs.evolve(verdicts._notary, signer=signer)
    await player.verify(ROW)
    assert [False] == [thread is threading.main_thread() for thread in signer.threads]


class NotingSigner:
    """Signs as another one does, and notes where."""

    def __init__(self, signer: Signer) -> None:
        self.signer, self.algorithm, self.key = signer, signer.algorithm, signer.key
        self.threads: list[threading.Thread] = []

    def sign(self, message: bytes) -> str:
        self.threads.append(threading.current_thread())
        return self.signer.sign(message)

    def agrees(self, message: bytes, signature: str) -> bool:
        return self.signer.agrees(message, signature)


async def test_only_so_many_ended_sessions_are_remembered() -> None:
    async with open_game(max_records=2) as sessions:
        for _ in range(5):
            player = Player(sessions)
            await player.seed(ROW)
            await player.verify(ROW)
        assert 2 >= sessions.describe()["sessions"]["over"]


async def test_a_session_that_broke_itself_is_judged_by_nothing_when_its_state_is_let_go() -> None:
    row = {"expected": 0}
    async with open_game(kept_state_bytes=100_000) as sessions:
        players = [Player(sessions) for _ in range(3)]
        for player, breaks_itself in zip(players, (False, True, False), strict=True):
            await player.seed(row)
            await player.call("bash", command="head -c 45000 /dev/zero > big")
            if breaks_itself:
                await player.call("python", code="import os; os.write(4, b'x' * 9)")
                await wait_for_phase(sessions, "over", 2)  # the order in which they end counts
            else:
                await player.close(row)
        verdicts = [await player.verify(row) for player in players]
        assert [None, None, None] == [verdict.get("failure_kind") for verdict in verdicts]
        assert [(1.0, "closed"), (0.0, "protocol_violation"), (1.0, "closed")] == [
            (verdict["reward"], verdict["ended_by"]) for verdict in verdicts
        ]


async def test_final_states_beyond_the_budget_are_let_go_and_their_rollouts_masked() -> None:
    async with open_game(kept_state_bytes=100_000) as sessions:
        players = [Player(sessions) for _ in range(3)]
        for player in players:
            await player.seed(ROW)
            await player.call("bash", command="head -c 60000 /dev/zero > big")
            await player.close(ROW)
        kinds = [(await player.verify(ROW)).get("failure_kind") for player in players]
        assert ["session_expired", "session_expired", None] == kinds
