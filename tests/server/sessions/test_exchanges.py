"""When an equal request is a retry, and when it is a call of its own."""

from __future__ import annotations

import trio
import trio.testing

from server.http.wire import Reply
from server.sessions.exchanges import MAX_NAMED, Exchange, Memory

REPLY = Reply(200, b"{}")


def answered(*, is_delivered: bool) -> Exchange:
    """Return an exchange that one client attended."""
    exchange = Exchange(attending=1)
    exchange.answer(REPLY)
    exchange.leave(is_delivered=is_delivered)
    return exchange


def test_the_last_call_is_recalled_only_if_its_reply_was_lost() -> None:
    for is_delivered in (True, False):
        memory = Memory()
        exchange = answered(is_delivered=is_delivered)
        memory.remember(exchange, b"key", None)
        assert (None if is_delivered else exchange) is memory.recall(b"key", None)
        assert memory.recall(b"other", None) is None


def test_while_somebody_attends_an_equal_call_is_one_of_its_own() -> None:
    memory = Memory()
    memory.remember(Exchange(attending=1), b"key", None)
    assert memory.recall(b"key", None) is None


def test_a_call_that_everyone_left_is_joined_before_it_ends() -> None:
    memory, exchange = Memory(), Exchange(attending=1)
    memory.remember(exchange, b"key", None)
    exchange.leave(is_delivered=False)
    assert exchange is memory.recall(b"key", None)


def test_another_call_takes_the_last_ones_place() -> None:
    memory = Memory()
    memory.remember(answered(is_delivered=False), b"key", None)
    memory.remember(answered(is_delivered=True), b"next", None)
    assert memory.recall(b"key", None) is None


def test_a_name_recalls_its_call_even_if_delivered_and_only_for_the_same_body() -> None:
    memory, exchange = Memory(), answered(is_delivered=True)
    memory.remember(exchange, b"key", "name")
    assert exchange is memory.recall(b"key", "name")
    assert memory.recall(b"other", "name") is None
    assert memory.recall(b"key", None) is None


def test_only_so_many_names_are_remembered() -> None:
    memory = Memory()
    for number in range(MAX_NAMED + 1):
        memory.remember(Exchange(), b"key", str(number))
    assert memory.recall(b"key", "0") is None
    assert memory.recall(b"key", "1") is not None


def test_of_very_long_replies_fewer_are_remembered() -> None:
    memory = Memory()
    for number in range(6):
        exchange = Exchange()
        memory.remember(exchange, b"key", str(number))
        exchange.answer(Reply(200, bytes(16 << 20)))
    found = [memory.recall(b"key", str(number)) is not None for number in range(6)]
    assert [False] * 3 + [
        True
    ] * 3 == found  # two whole ones are within the bound, and the newest is always kept


async def test_the_reply_ends_the_waiting_for_a_hang_up(autojump_clock: trio.testing.MockClock) -> None:
    exchange = Exchange()

    async def answer_later() -> None:
        await trio.sleep(1)
        exchange.answer(REPLY)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer_later)
        assert REPLY is await exchange.wait_unless(trio.sleep_forever)
        assert REPLY is await exchange.wait_unless(trio.sleep_forever)
    assert 1 == trio.current_time()


async def test_a_hang_up_ends_the_waiting_for_the_reply(autojump_clock: trio.testing.MockClock) -> None:
    async def hang_up() -> None:
        await trio.sleep(2)

    assert await Exchange().wait_unless(hang_up) is None
    assert 2 == trio.current_time()
