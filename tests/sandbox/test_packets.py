from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from sandbox import packets
from tests.sandbox.faults import descriptors_left, open_descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(name="pair")
def _pair() -> Iterator[Pair]:
    one, other = packets.pair()
    with one, other:
        yield one, other


def test_the_end_of_file_is_none(pair: Pair) -> None:
    pair[0].close()
    assert packets.receive(pair[1]) is None


def test_an_end_that_is_gone_is_an_error_of_the_sender_and_no_signal(pair: Pair) -> None:
    pair[1].close()
    with pytest.raises(BrokenPipeError):
        packets.send(pair[0], {})


def test_a_message_too_long_to_be_received_is_refused(pair: Pair) -> None:
    packets.send(pair[0], {"a": "x" * packets.MAX_BYTES})
    with pytest.raises(ValueError, match="cut short"):
        packets.receive(pair[1])


def test_more_descriptors_than_are_agreed_are_refused_and_none_stays_open(pair: Pair) -> None:
    before = open_descriptors()
    packets.send(pair[0], {}, [0] * (packets.MAX_DESCRIPTORS + 8))
    assert ({}, []) == packets.receive(pair[1])
    assert before == open_descriptors()


@pytest.mark.parametrize("left", [0, 1])
def test_when_there_is_no_room_for_all_descriptors_none_is_taken_and_the_message_is(
    pair: Pair, left: int
) -> None:
    packets.send(pair[0], {"op": "started"}, [0, 0])
    with descriptors_left(left):
        assert ({"op": "started"}, []) == packets.receive(pair[1])


def test_nothing_yet_is_an_error_on_a_socket_that_does_not_wait(pair: Pair) -> None:
    pair[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        packets.receive(pair[1])


def test_messages_keep_their_bounds_and_their_descriptors(pair: Pair) -> None:
    reading, writing = os.pipe()
    packets.send(pair[0], {"op": "first"}, [writing])
    packets.send(pair[0], {"op": "second"})
    os.close(writing)
    message, (received,) = packets.receive(pair[1]) or ({}, [])
    assert {"op": "first"} == message
    assert not os.get_inheritable(received)
    os.write(received, b"through")
    assert b"through" == os.read(reading, 100)
    os.close(received)
    os.close(reading)
    assert ({"op": "second"}, []) == packets.receive(pair[1])
