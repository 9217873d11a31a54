"""One measurement at a time: each probe does its thing once and notes how long it took."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import attrs

from sandbox import posture
from sandbox.box import Box
from sandbox.launcher import Launcher
from sandbox.observation import Outcome
from sandbox.profile import Profile
from scripts.benchmark.commands import CODE
from scripts.benchmark.http import Client

WARM_CALLS = 25
"""Warm calls at one go: what follows the first of them finds the caches as a session at work does."""

_WARM = CODE["plain"]
_STDOUT = "1\n"
_ROW: dict[str, Any] = {"responses_create_params": {"input": []}}


@attrs.define(eq=False)
class Samples:
    """Seconds by the name of what was measured."""

    seconds: defaultdict[str, list[float]] = attrs.field(factory=lambda: defaultdict(list))

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Note how long the block takes."""
        started = time.perf_counter()
        yield
        self.seconds[name].append(time.perf_counter() - started)


def check_outcome(outcome: object, stdout: object) -> None:
    """Make sure that what was timed was the work itself.

    Raises:
        RuntimeError: a call went wrong, so its time means nothing.
    """
    if outcome != Outcome.OK or stdout != _STDOUT:
        msg = f"a call that was being measured went wrong: {outcome}, {stdout!r}"
        raise RuntimeError(msg)


def run_command(samples: Samples, name: str, run: Callable[[], None]) -> None:
    """Time a command from its start to its end."""
    with samples.time(name):
        run()


async def first_result(samples: Samples, launcher: Launcher, profile: Profile, way: str, kind: str) -> None:
    """Below HTTP: open a sandbox, make its first call, finish it.

    Args:
        samples: where the times go.
        launcher: with or without sessions on standby.
        profile: what the session starts from.
        way: ``"below"`` or ``"fresh"``, the launcher's kind, for the samples' names.
        kind: what is imported first.
    """
    started = time.perf_counter()
    async with launcher.open_sandbox(profile) as box:
        samples.seconds[f"open {way} {kind}"].append(time.perf_counter() - started)
        observation = await box.call("python", {"code": CODE[kind]})
        samples.seconds[f"{way} {kind}"].append(time.perf_counter() - started)
        check_outcome(observation.outcome, observation.stdout)
        with samples.time(f"finish {kind}"):
            await box.finish()


async def session(launcher: Launcher, profile: Profile) -> None:
    """Below HTTP: a whole session, from its start to nothing of it being left."""
    async with launcher.open_sandbox(profile) as box:
        observation = await box.call("python", {"code": _WARM})
        check_outcome(observation.outcome, observation.stdout)


async def warm_calls(samples: Samples, box: Box) -> None:
    """Below HTTP: calls of a session that has answered before."""
    for _ in range(WARM_CALLS):
        with samples.time("warm below"):
            observation = await box.call("python", {"code": _WARM})
        check_outcome(observation.outcome, observation.stdout)


def first_reply(samples: Samples, client: Client, kind: str) -> None:
    """Through HTTP: seed, make the first call; then close, which is not timed."""
    client.forget()
    with samples.time(f"http {kind}"):
        client.post_json("/seed_session", _ROW)
        reply = client.post_json("/python", {"code": CODE[kind]})
    check_outcome(reply["outcome"], reply["stdout"])
    client.post_json("/close_session", _ROW)


def on_standby(client: Client) -> int:
    """Through HTTP: return how many sessions the server has ready."""
    return int(client.get_json("/health")["standby"])


@contextmanager
def live_session(client: Client) -> Iterator[None]:
    """Through HTTP: a session that has answered once, while the block lasts."""
    client.post_json("/seed_session", _ROW)
    client.post_json("/python", {"code": _WARM})
    yield
    client.post_json("/close_session", _ROW)


def warm_replies(samples: Samples, client: Client, name: str) -> None:
    """Through HTTP: the same warm call of whatever is at the other end, and what the client itself costs."""
    body = b'{"code":"x = 1\\nprint(x)"}'
    reply = b""
    cpu = time.thread_time()
    for _ in range(WARM_CALLS):
        with samples.time(name):
            reply = client.post("/python", body)
    samples.seconds["client"].append((time.thread_time() - cpu) / WARM_CALLS)
    if not reply.startswith(b'{"outcome":"ok"'):
        check_outcome(reply, None)


@contextmanager
def posture_timed(samples: Samples) -> Iterator[None]:
    """Note what each posture check takes, where it is made, while the block lasts."""
    check = posture.check

    def timed(*what: Any, **promised: Any) -> None:
        with samples.time("posture"):
            check(*what, **promised)

    posture.check = timed
    try:
        yield
    finally:
        posture.check = check


@asynccontextmanager
async def open_warm_box(launcher: Launcher, profile: Profile, code: str = _WARM) -> AsyncIterator[Box]:
    """Open a sandbox that has answered once."""
    async with launcher.open_sandbox(profile) as box:
        await box.call("python", {"code": code})
        yield box
