"""What is kept of an episode that is played by steps, and for how long."""

from __future__ import annotations

from server.http.wire import Reply
from server.sessions.exchanges import Exchange
from server.sessions.plays import Play


def step(play: Play, name: str) -> Exchange:
    exchange = Exchange()
    exchange.answer(Reply(200, name.encode()))
    play.remember(exchange, name.encode(), name)
    play.items.append(b"{}")
    play.said.append(name)
    return exchange


def test_while_it_lasts_each_of_the_last_steps_is_answered_again() -> None:
    play = Play()
    first, second = step(play, "a"), step(play, "b")
    assert (first, second) == (play.memory.recall(b"a", "a"), play.memory.recall(b"b", "b"))
    assert ([b"{}", b"{}"], ["a", "b"]) == (play.items, play.said)


def test_after_its_end_only_the_last_answer_is_kept() -> None:
    play = Play()
    step(play, "a")
    last = step(play, "b")
    play.end()
    assert (None, last) == (play.memory.recall(b"a", "a"), play.memory.recall(b"b", "b"))
    assert ([], [], True) == (play.items, play.said, play.is_over)


def test_a_last_step_without_a_name_is_answered_again_if_its_answer_was_lost() -> None:
    play = Play()
    exchange = Exchange()
    play.remember(exchange, b"a", None)
    play.end()
    assert exchange is play.memory.recall(b"a", None)
    exchange.attending += 1
    exchange.leave(is_delivered=True)
    assert None is play.memory.recall(b"a", None)


def test_an_episode_that_took_no_step_has_nothing_to_keep() -> None:
    play = Play()
    play.end()
    assert None is play.memory.recall(b"", None)
