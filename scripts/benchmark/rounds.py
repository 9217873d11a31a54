"""The measurement itself: probes take turns, so that a noisy minute hits all of them alike."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial

import attrs
import trio

from sandbox.launcher import Launcher, open_launcher
from sandbox.profile import Profile
from scripts.benchmark import commands, probes
from scripts.benchmark.http import Client, open_client
from scripts.benchmark.loads import Throughput, throughput
from scripts.benchmark.weights import Idle, beside, idle
from scripts.child_server import creche_serve, open_server
from server.settings import Settings
from server.toolbox import Toolbox

_REPEATS = 3
"""Throughput measurements of each kind."""

Go = Callable[[], Awaitable[None]]
"""One go at one probe."""

_SERVED = {"plain": "scripts.benchmark.environments:Plain", "numpy": "scripts.benchmark.environments:Numpy"}

STANDBY = Settings().standby
"""As many sessions as a server has on standby by default: what it gives is what is compared."""

_PATIENCE_SECONDS = 30.0
_BESIDE = 20
"""Idle interpreters in bubblewrap to weigh: enough for what they share to be shared."""

GROUPS = ("first", "warm", "throughput", "memory")


@attrs.frozen
class Plan:
    """How much to measure.

    Attributes:
        groups: which of `GROUPS`.
        rounds: goes at each probe of the groups first and warm.
        sessions: sessions of one throughput measurement.
        alive: idle sessions to weigh.
    """

    groups: tuple[str, ...]
    rounds: int
    sessions: int
    alive: tuple[int, ...]


@attrs.define(eq=False)
class Findings:
    """All that was measured, and for what could not be, why."""

    samples: probes.Samples = attrs.field(factory=probes.Samples)
    throughputs: list[Throughput] = attrs.field(factory=list)
    idle: list[Idle] = attrs.field(factory=list)
    beside: dict[str, float] = attrs.field(factory=dict)
    skipped: dict[str, str] = attrs.field(factory=dict)


async def measure(plan: Plan, progress: Callable[[str], None]) -> Findings:
    """Carry out a plan.

    Args:
        plan: what to do.
        progress: told in a few words what is going on.

    Raises:
        sandbox.errors.WouldNotStart: no sandbox can be had here.
        scripts.child_server.ServerFailedError: no server can.
    """
    findings = Findings()
    plain = Toolbox.of(("python",)).equip(Profile())
    kinds = {"plain": plain}
    if commands.numpy_folder() is not None:
        kinds["numpy"] = attrs.evolve(plain, name="numpy", packages=("numpy",), preload=("numpy",))
    else:
        findings.skipped["numpy"] = "numpy is not installed beside Creche"
    async with open_launcher() as launcher:
        if not {"first", "warm"}.isdisjoint(plan.groups):
            await _take_turns(plan, findings, launcher, kinds, progress)
        if "throughput" in plan.groups:
            for number in range(_REPEATS):
                progress(f"throughput {number + 1} of {_REPEATS}")
                for at_once in (1, 8):
                    findings.throughputs.append(await throughput(launcher, plain, plan.sessions, at_once))
        if "memory" in plan.groups:
            progress(f"weighing {plan.alive[-1]} idle sessions")
            await _weigh(plan, findings, launcher, kinds)
    return findings


async def _weigh(plan: Plan, findings: Findings, launcher: Launcher, kinds: Mapping[str, Profile]) -> None:
    """Measure the group memory: with something imported at the smallest number only, it costs the same."""
    for kind, profile in kinds.items():
        found, reason = await idle(launcher, profile, kind, plan.alive if kind == "plain" else plan.alive[:1])
        findings.idle += found
        if reason is not None:
            findings.skipped[f"memory, {kind}"] = reason
        bubblewrap = commands.bubblewrap(
            f"{commands.CODE[kind]}\nimport sys; sys.stdout.flush(); sys.stdin.read()"
        )
        if bubblewrap is not None and os.geteuid() == 0:
            findings.beside[kind] = beside(bubblewrap, _BESIDE)


async def _take_turns(
    plan: Plan,
    findings: Findings,
    launcher: Launcher,
    kinds: Mapping[str, Profile],
    progress: Callable[[str], None],
) -> None:
    """Measure the groups first and warm."""
    async with AsyncExitStack() as stack:
        progress("starting servers")
        goes: list[Go] = []
        if "first" in plan.groups:
            goes += await _first(stack, findings, launcher, kinds)
        if "warm" in plan.groups:
            goes += await _warm(stack, findings, launcher, kinds["plain"])
        for number in range(plan.rounds):
            progress(f"round {number + 1} of {plan.rounds}")
            # Each round begins elsewhere: what a probe finds in the caches depends on who went before it.
            start = number % len(goes)
            for go in (*goes[start:], *goes[:start]):
                await go()


async def _first(
    stack: AsyncExitStack, findings: Findings, launcher: Launcher, kinds: Mapping[str, Profile]
) -> list[Go]:
    """Prepare everything that is measured from nothing to the first result."""
    samples = findings.samples
    ready = await stack.enter_async_context(open_launcher(standby=STANDBY))
    shared: Launcher | None = None
    if launcher.gives_users:
        # Cages as an ordinary user's server builds them, whose sessions share its id.
        shared = await stack.enter_async_context(open_launcher())
        shared.ids = None
    stack.enter_context(probes.posture_timed(samples))
    goes: list[Go] = []
    for kind, profile in kinds.items():
        code = commands.CODE[kind]
        goes.append(_blocking(partial(probes.run_command, samples, f"cold {kind}", commands.cold(code).run)))
        bubblewrap = commands.bubblewrap(code)
        if bubblewrap is None:
            findings.skipped["bwrap"] = "bubblewrap is not installed (apt-get install bubblewrap)"
        else:
            goes.append(_blocking(partial(probes.run_command, samples, f"bwrap {kind}", bubblewrap.run)))
        starters = {"fresh": launcher, "below": ready}
        if shared is not None and kind == "plain":
            starters["shared"] = shared
        for way, started_by in starters.items():
            await started_by.warm(profile)
            below: Go = partial(probes.first_result, samples, started_by, profile, way, kind)
            on_standby = STANDBY if started_by is ready else 0
            goes.append(_then_wait_for(partial(started_by.ready, profile), on_standby, below))
        client = await _connect(stack, creche_serve(_SERVED[kind]))
        through = _blocking(partial(probes.first_reply, samples, client, kind))
        goes.append(_then_wait_for(partial(probes.on_standby, client), STANDBY, through))
    return goes


async def _warm(stack: AsyncExitStack, findings: Findings, launcher: Launcher, plain: Profile) -> list[Go]:
    """Prepare warm calls: below HTTP, through HTTP, and of the trivial server."""
    samples = findings.samples
    box = await stack.enter_async_context(probes.open_warm_box(launcher, plain))
    ours = await _connect(stack, creche_serve(_SERVED["plain"]))
    stack.enter_context(probes.live_session(ours))
    trivial = await _connect(stack, [sys.executable, "-P", "-m", "scripts.benchmark.trivial"])
    return [
        partial(probes.warm_calls, samples, box),
        _blocking(partial(probes.warm_replies, samples, ours, "warm http")),
        _blocking(partial(probes.warm_replies, samples, trivial, "warm trivial")),
    ]


async def _connect(stack: AsyncExitStack, command: list[str]) -> Client:
    server = await stack.enter_async_context(open_server(command))
    return stack.enter_context(open_client(server.url))


def _blocking(probe: Callable[[], None]) -> Go:
    """Make a probe that blocks one that awaits. Nothing else is to run meanwhile."""

    async def go() -> None:
        probe()
        await trio.lowlevel.checkpoint()

    return go


def _then_wait_for(ready: Callable[[], int], count: int, go: Go) -> Go:
    """Have sessions be on standby again before the next probe, which their start must not disturb."""

    async def go_and_wait() -> None:
        await go()
        with trio.fail_after(_PATIENCE_SECONDS):
            while ready() < count:  # noqa: ASYNC110 - a count in another process cannot be waited for otherwise
                await trio.sleep(0.005)

    return go_and_wait
