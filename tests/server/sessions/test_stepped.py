"""What is kept of an episode that is played by steps, and for how long."""

from __future__ import annotations

from server.http.wire import Reply
from server.sessions.exchanges import Exchange
from server.sessions.stepped import Episode


def step(episode: Episode, name: str) -> Exchange:
    exchange = Exchange()
    exchange.answer(Reply(200, name.encode()))
    episode.remember(exchange, name.encode(), name)
    episode.items.append(b"{}")
    episode.said.append(name)
    return exchange


def test_while_it_lasts_each_of_the_last_steps_is_answered_again() -> None:
    episode = Episode()
    first, second = step(episode, "a"), step(episode, "b")
    assert (first, second) == (episode.memory.recall(b"a", "a"), episode.memory.recall(b"b", "b"))
    assert ([b"{}", b"{}"], ["a", "b"]) == (episode.items, episode.said)


def test_after_its_end_only_the_last_answer_is_kept() -> None:
    episode = Episode()
    step(episode, "a")
    last = step(episode, "b")
    episode.end()
    assert (None, last) == (episode.memory.recall(b"a", "a"), episode.memory.recall(b"b", "b"))
    assert ([], [], True) == (episode.items, episode.said, episode.is_over)


def test_a_last_step_without_a_name_is_answered_again_if_its_answer_was_lost() -> None:
    episode = Episode()
    exchange = Exchange()
    episode.remember(exchange, b"a", None)
    episode.end()
    assert exchange is episode.memory.recall(b"a", None)
    exchange.attending += 1
    exchange.leave(is_delivered=True)
    assert None is episode.memory.recall(b"a", None)


def test_an_episode_that_took_no_step_has_nothing_to_keep() -> None:
    episode = Episode()
    episode.end()
    assert None is episode.memory.recall(b"", None)
