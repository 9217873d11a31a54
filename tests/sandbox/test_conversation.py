"""One question at a time, against a far side that does everything else. Times are exact: the clock jumps."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
import trio
from trio.testing import (
    MemoryReceiveStream,
    MemorySendStream,
    MockClock,
    lockstep_stream_pair,
    memory_stream_pair,
)

from sandbox import frames
from sandbox.conversation import Conversation, HungUp, Incoherent, Reply, Silence

Memory = trio.StapledStream[MemorySendStream, MemoryReceiveStream]


@pytest.fixture(name="pair")
def _pair() -> tuple[Conversation, Memory]:
    near, far = memory_stream_pair()
    return Conversation(near), far


def reply(number: Any = 1, outcome: Any = "ok", value: Any = None, error: Any = None, **more: Any) -> bytes:
    return frames.encode({"id": number, "outcome": outcome, "value": value, "error": error, **more}, 1 << 20)


async def ask(conversation: Conversation) -> None:
    await conversation.ask("run", {"code": "1"}, math.inf)


async def test_silence_then_a_late_reply(
    pair: tuple[Conversation, Memory], autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    conversation, far = pair

    async def answer_late() -> None:
        await trio.sleep(7)
        await far.send_all(reply(value="late"))

    nursery.start_soon(answer_late)
    await ask(conversation)
    with pytest.raises(Silence):
        await conversation.reply(trio.current_time() + 5)
    assert 5 == trio.current_time()
    assert conversation.is_open
    assert Reply("ok", "late", None) == await conversation.reply(trio.current_time() + 5)
    assert 7 == trio.current_time()
    assert not conversation.is_open


class Trickle(trio.abc.Stream):
    """Announces the longest reply there may be, and then has one more byte of it at any time."""

    def __init__(self) -> None:
        self._next = struct.pack(">I", frames.MAX_REPLY_BYTES)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data, self._next = self._next, b" "
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        pass

    async def wait_send_all_might_not_block(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


async def test_a_reply_that_comes_a_byte_at_a_time_holds_up_neither_others_nor_the_deadline(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    async def take_turns() -> None:
        for _ in range(10):
            await trio.lowlevel.checkpoint()
        mock_clock.jump(1)

    conversation = Conversation(Trickle())
    await ask(conversation)
    nursery.start_soon(take_turns)
    with pytest.raises(Silence):
        await conversation.reply(trio.current_time() + 1)  # which only comes if others have their turns


async def test_half_a_reply_before_the_deadline_is_not_lost(
    pair: tuple[Conversation, Memory], autojump_clock: MockClock
) -> None:
    conversation, far = pair
    await ask(conversation)
    frame = reply(value=[1, 2])
    await far.send_all(frame[:9])
    with pytest.raises(Silence):
        await conversation.reply(trio.current_time() + 1)
    await far.send_all(frame[9:])
    assert [1, 2] == (await conversation.reply(math.inf)).value


async def test_a_byte_now_and_then_does_not_move_the_deadline(
    pair: tuple[Conversation, Memory], autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    conversation, far = pair

    async def trickle() -> None:
        for byte in reply():
            await far.send_all(bytes([byte]))
            await trio.sleep(1)

    nursery.start_soon(trickle)
    await ask(conversation)
    with pytest.raises(Silence):
        await conversation.reply(trio.current_time() + 10)
    assert 10 == trio.current_time()
    nursery.cancel_scope.cancel()


async def test_a_hang_up_instead_of_a_reply(pair: tuple[Conversation, Memory]) -> None:
    conversation, far = pair
    await ask(conversation)
    await far.aclose()
    with pytest.raises(HungUp):
        await conversation.reply(math.inf)


async def test_a_hang_up_in_the_middle_of_a_reply(pair: tuple[Conversation, Memory]) -> None:
    conversation, far = pair
    await ask(conversation)
    await far.send_all(reply()[:-1])
    await far.aclose()
    with pytest.raises(HungUp):
        await conversation.reply(math.inf)


async def test_a_hang_up_before_the_question(pair: tuple[Conversation, Memory]) -> None:
    conversation, far = pair
    await far.aclose()
    with pytest.raises(HungUp):
        await ask(conversation)


@pytest.mark.parametrize(
    "frame",
    [
        reply(0),
        reply(2),
        reply("1"),
        reply(None),
        reply([1]),
        reply(True),
        reply(outcome="timeout"),
        reply(outcome="passed"),
        reply(outcome=["ok"]),
        reply(outcome=None),
        reply(error=3),
        reply(error={"a": 1}),
        reply(reward=1.0),
        frames.encode({"id": 1, "outcome": "ok", "value": None}, 1000),
        frames.encode({}, 1000),
        struct.pack(">I", 2) + b"[]",
        struct.pack(">I", 3) + b"NaN",
        struct.pack(">I", frames.MAX_REPLY_BYTES + 1),
        b"Traceback (most recent call last):",
        reply() + reply(),
        reply() + reply(2),
        reply() + b"\0",
    ],
    ids=lambda frame: repr(frame[4:60]),
)
async def test_what_is_not_the_one_agreed_reply_is_incoherent(
    pair: tuple[Conversation, Memory], frame: bytes
) -> None:
    conversation, far = pair
    await ask(conversation)
    await far.send_all(frame)
    with pytest.raises(Incoherent):
        await conversation.reply(math.inf)
    assert conversation.is_open


async def test_a_surplus_reply_that_comes_later_is_seen_at_the_next_question(
    pair: tuple[Conversation, Memory],
) -> None:
    conversation, far = pair
    await ask(conversation)
    await far.send_all(reply())
    await conversation.reply(math.inf)
    await far.send_all(reply())
    await ask(conversation)
    with pytest.raises(Incoherent, match="another question"):
        await conversation.reply(math.inf)


async def test_a_question_that_nobody_reads_is_given_up_at_its_deadline(
    pair: tuple[Conversation, Memory], autojump_clock: MockClock
) -> None:
    near, _far = lockstep_stream_pair()
    conversation = Conversation(near)
    with pytest.raises(Incoherent, match="not read in time"):
        await conversation.ask("run", {}, trio.current_time() + 3)
    assert 3 == trio.current_time()


async def test_a_question_too_large_is_not_begun(
    pair: tuple[Conversation, Memory], monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation, far = pair
    monkeypatch.setattr(frames, "MAX_REQUEST_BYTES", 100)
    with pytest.raises(frames.FrameError):
        await conversation.ask("run", {"code": "x" * 100}, math.inf)
    assert not conversation.is_open
    await ask(conversation)
    await far.send_all(reply())
    assert Reply("ok", None, None) == await conversation.reply(math.inf)


async def test_a_cancelled_wait_leaves_the_question_open(
    pair: tuple[Conversation, Memory], autojump_clock: MockClock
) -> None:
    conversation, far = pair
    await ask(conversation)
    with trio.move_on_after(2):
        await conversation.reply(math.inf)
    assert conversation.is_open
    await far.send_all(reply(value=1))
    assert 1 == (await conversation.reply(math.inf)).value


async def test_questions_and_replies_byte_by_byte(pair: tuple[Conversation, Memory]) -> None:
    conversation, far = pair
    reader = frames.FrameReader(1 << 20)
    for number in range(1, 4):
        await ask(conversation)
        reader.feed(bytes(await far.receive_some()))
        assert {"id": number, "tool": "run", "arguments": {"code": "1"}} == reader.next_message()
        for byte in reply(number, "error", {"n": number}, "ValueError: no"):
            await far.send_all(bytes([byte]))
        assert Reply("error", {"n": number}, "ValueError: no") == await conversation.reply(math.inf)
