"""Sends a server requests that hypothesis has made; each must be answered, and none be an accident."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path

import attrs
import httpx
import trio
from hypothesis import HealthCheck, given, seed, settings

from scripts.child_server import ChildServer
from scripts.soaking.census import settle, steady
from scripts.soaking.requests import ROW, Request, requests

SETTINGS = ("--set", "limits.call_seconds=2", "--set", "limits.idle_seconds=2", "--set", "log_format=json")
"""What the requests start by chance shall not be waited for long."""

PATIENCE_SECONDS = 60.0
"""Until a request counts as hung: a tool call may take its deadline, and the machine may be busy."""

_ALL_CHECKS = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)


@attrs.frozen
class Fuzzed:
    """What came of it.

    Attributes:
        statuses: how often which status was answered.
        failure: what was answered as it must not be, with the smallest request that shows it.
        left: what the server holds more of than before: its name, how much then, how much now.
    """

    statuses: Counter[int]
    failure: str | None
    left: dict[str, tuple[int, int]]

    def problems(self, log: Path) -> list[str]:
        """Return a line for whatever was not as it must be; `log` is the server's."""
        lines = [self.failure] if self.failure else []
        lines += [f"{name}: {then} before, {now} in the end" for name, (then, now) in self.left.items()]
        text = log.read_text(encoding="utf-8")
        return lines + [f"the log has a {word}" for word in ("Traceback", '"incident"') if word in text]

    def summary(self) -> str:
        """Return the figures in one line."""
        found = ", ".join(f"{status}: {times}" for status, times in sorted(self.statuses.items()))
        return f"{sum(self.statuses.values())} requests made at random; answered {found}"


async def fuzz(
    server: ChildServer, temporary: Path, count: int, number: int, tick: Callable[[], None] = lambda: None
) -> Fuzzed:
    """Send about `count` requests to a fresh server, which `number` decides, and look what is left.

    Args:
        server: started with `SETTINGS`; nobody else may use it.
        temporary: its TMPDIR.
        count: how many.
        number: hypothesis's seed.
        tick: called after each, from another thread.
    """
    baseline = attrs.evolve(await steady(server, temporary), resident=1 << 60)
    statuses: Counter[int] = Counter()
    failure: str | None = None
    try:
        await trio.to_thread.run_sync(partial(_send_all, server.url, count, number, statuses, tick))
    except (AssertionError, httpx.HTTPError) as error:
        failure = "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
    after = await settle(server.pid, temporary, baseline)
    return Fuzzed(statuses, failure, after.over(baseline))


def _send_all(url: str, count: int, number: int, statuses: Counter[int], tick: Callable[[], None]) -> None:
    with httpx.Client(base_url=url, timeout=PATIENCE_SECONDS, trust_env=False) as client:

        @seed(number)
        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            suppress_health_check=_ALL_CHECKS,
        )
        @given(requests)
        def run(request: Request) -> None:
            statuses[_send(client, request)] += 1
            tick()

        run()


def _send(client: httpx.Client, request: Request) -> int:
    """Send a request, check its reply and return the status."""
    client.cookies.clear()
    if request.has_session:
        client.post("/reset" if "/step" in request.path else "/seed_session", json=ROW)
    target = client.base_url.copy_with(raw_path=request.path.encode())  # as it is
    sent = client.build_request(request.method, target, headers=list(request.headers), content=request.body)
    reply = client.send(sent)
    if reply.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        msg = f"{request} was answered {reply.status_code}: {reply.text[:300]}"
        raise AssertionError(msg)
    if reply.headers.get("content-type") == "application/json" and request.method != "HEAD":
        reply.json()
    if request.has_session:
        client.post("/close_session", json=ROW)
    return reply.status_code
