"""Calls of an endpoint: ones that succeed in the end, and ones that never do."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trio

from server.verify.judge.model import Api, JudgeModel
from server.verify.verdicts import JudgeFailedError
from tests.server.verify.judge.endpoint import (
    Endpoint,
    Step,
    Wire,
    drips,
    hangs,
    hangs_up,
    judge_at,
    open_endpoint,
    says,
    status,
)

ASK = [{"role": "user", "content": "?"}]


@pytest.mark.parametrize(("api", "path"), [("responses", "/v1/responses"), ("chat", "/v1/chat/completions")])
async def test_both_protocols_are_spoken(api: Api, path: str) -> None:
    async with open_endpoint(says("fine")) as endpoint:
        model = judge_at(endpoint, api, key="k", params={"temperature": 0})
        answer = await model.ask(ASK)
        assert "fine" == answer.text
        assert [path] == [asked for asked, _ in endpoint.asked]
        assert answer.request == endpoint.asked[0][1]
        assert {"temperature": 0, "model": "judge"}.items() <= answer.request.items()
        assert ["Bearer k"] == endpoint.keys
        assert "k" not in str(model)


async def test_the_urls_version_may_be_given_or_not() -> None:
    async with open_endpoint(says("fine")) as endpoint:
        await JudgeModel(url=f"{endpoint.url}/v1/", model="judge").ask(ASK)
        assert "/v1/responses" == endpoint.asked[0][0]


@pytest.mark.parametrize(
    "trouble",
    [
        status(500),
        status(503, Retry_After="0"),
        status(429, Retry_After="nonsense"),
        status(200, b"<html>"),
        status(200, b"[" * 100_000),
        status(200, b'{"output": null}'),
        status(200, b'{"output": [], "error": {"code": "server_error"}}'),
        status(200, b"null"),
        hangs_up,
    ],
    ids=["500", "503", "429", "html", "deep", "null", "error", "nothing", "hangs-up"],
)
async def test_a_call_that_failed_is_made_again(trouble: Step) -> None:
    async with open_endpoint(trouble, trouble, says("fine")) as endpoint:
        assert "fine" == (await judge_at(endpoint).ask(ASK)).text
        assert 3 == len(endpoint.asked)


@pytest.mark.parametrize("trouble", [hangs, drips])
async def test_a_try_has_a_deadline(trouble: Step) -> None:
    async with open_endpoint(trouble, says("fine")) as endpoint:
        assert "fine" == (await judge_at(endpoint, seconds=1.0).ask(ASK)).text


@pytest.mark.parametrize(
    ("trouble", "tries", "why"),
    [
        (status(500), 3, "status 500"),
        (status(429), 3, "status 429"),
        (status(400), 1, "status 400"),
        (status(401), 1, "status 401"),
        (status(403), 1, "status 403"),
        (status(200, b'{"output": [], "error": {"code": "content_filter"}}'), 3, "an error"),
        (status(302, Location="http://127.0.0.1:9/"), 1, "status 302"),
        (status(200, b"x"), 3, "no reply of that API"),
        (status(200, b" " * 9_000_000), 1, "longer than"),
        (hangs, 3, "not answer in time"),
    ],
)
async def test_what_never_succeeds_is_our_failure(trouble: Step, tries: int, why: str) -> None:
    async with open_endpoint(trouble) as endpoint:
        with pytest.raises(JudgeFailedError, match=why):
            await judge_at(endpoint, tries=3, seconds=1.0 if trouble is hangs else 30.0).ask(ASK)
        assert tries == len(endpoint.asked)


async def test_nobody_there_is_our_failure() -> None:
    with pytest.raises(JudgeFailedError, match="Connect"):
        await JudgeModel(url="http://127.0.0.1:9", model="judge", tries=2, pause_seconds=0.01).ask(ASK)
    with pytest.raises(JudgeFailedError):
        await JudgeModel(url="no url", model="judge", tries=2, pause_seconds=0.01).ask(ASK)


async def test_a_callers_deadline_is_kept_with_time_to_say_so() -> None:
    async with open_endpoint(hangs) as endpoint:
        with trio.fail_after(8.0), pytest.raises(JudgeFailedError, match="in time"):
            await judge_at(endpoint).ask(ASK)


async def test_only_so_many_calls_are_made_at_once() -> None:
    async with open_endpoint(says("fine")) as endpoint:
        model = judge_at(endpoint, limiter=trio.CapacityLimiter(2))
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(model.ask, ASK)
        assert 8 == len(endpoint.asked)
        assert endpoint.most_at_once <= 2


async def test_a_call_that_had_to_wait_for_its_turn_has_all_its_time() -> None:
    """As many are in line as would use up one call's time by waiting."""

    async def slowly(endpoint: Endpoint, wire: Wire, body: dict[str, Any]) -> None:
        await trio.sleep(0.3)
        await says("fine")(endpoint, wire, body)

    async with open_endpoint(slowly) as endpoint:
        model = judge_at(endpoint, limiter=trio.CapacityLimiter(1), seconds=4.0, tries=1)
        async with trio.open_nursery() as nursery:
            for _ in range(14):
                nursery.start_soon(model.ask, ASK)
        assert 14 == len(endpoint.asked)


async def test_a_call_that_never_has_its_turn_says_so_in_time() -> None:
    async with open_endpoint(says("fine")) as endpoint:
        limiter = trio.CapacityLimiter(1)
        model = judge_at(endpoint, limiter=limiter)
        await limiter.acquire_on_behalf_of(endpoint)
        with trio.fail_after(6.0), pytest.raises(JudgeFailedError, match="no time"):
            await model.ask(ASK)
        limiter.release_on_behalf_of(endpoint)
        assert "fine" == (await model.ask(ASK)).text


async def test_whom_to_trust_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *_, **__: read.append(1))
    async with open_endpoint(says("fine")) as endpoint:
        for _ in range(3):
            await judge_at(endpoint).ask(ASK)
    assert len(read) <= 1


@pytest.mark.parametrize(
    "reply", [{"output": []}, {"output": [{"type": "message", "content": None}]}, {"output": [7]}]
)
async def test_an_answer_without_text_is_an_answer(reply: Any) -> None:
    import json  # noqa: PLC0415

    async with open_endpoint(status(200, json.dumps(reply).encode())) as endpoint:
        assert "" == (await judge_at(endpoint).ask(ASK)).text
