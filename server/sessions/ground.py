"""What all sessions of one server stand on, and the count of what is in progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import trio

from server.sessions.shares import StateMemory

if TYPE_CHECKING:
    from sandbox.launcher import Launcher
    from sandbox.profile import Profile
    from server.environment import Environment
    from server.settings import Settings


LONG_BODIES = 2


@attrs.define(eq=False)
class Work:
    """Counts seeds, calls and verdicts in progress: each begins and ends, or is a ``with`` block.

    What is handed to a task begins before the task does, or a shutdown in between would not wait for it.
    """

    _count: int = 0
    _quiet: trio.Event = attrs.field(factory=trio.Event)

    def __enter__(self) -> None:
        """Begin a piece of work."""
        self.begin()

    def __exit__(self, *_: object) -> None:
        """End it, however it ended."""
        self.end()

    def begin(self) -> None:
        """Begin a piece of work."""
        self._count += 1

    def end(self) -> None:
        """End it."""
        self._count -= 1
        if not self._count:
            self._quiet.set()
            self._quiet = trio.Event()

    async def wait_quiet(self) -> None:
        """Return when nothing is in progress."""
        while self._count:
            await self._quiet.wait()


@attrs.frozen
class Ground:
    """Shared by all sessions.

    Attributes:
        environment: what they play.
        profile: what their sandboxes start from, the environment's tools included.
        launcher: where their sandboxes come from.
        slots: one for each sandbox that may be open at once; who waits gets one in the order of coming.
        queue_seconds: how long a seed may wait for a slot.
        states: memory for what sessions leave behind until there is a verdict on it.
        stopping: set when the server cuts off what still runs.
        long_bodies: one for each long body that may be read at once, which takes several times its length.
        work: what is in progress, so that a shutdown can wait for it.
        reports: one report on a run at a time.
    """

    environment: Environment[Any]
    profile: Profile
    launcher: Launcher
    slots: trio.CapacityLimiter
    queue_seconds: float
    states: StateMemory
    long_bodies: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(LONG_BODIES))
    work: Work = attrs.field(factory=Work)
    stopping: trio.Event = attrs.field(factory=trio.Event)
    reports: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1))


async def lay_ground(environment: Environment[Any], launcher: Launcher, settings: Settings) -> Ground:
    """Make ready what sessions need, and find out here and now whether any could ever start.

    Raises:
        sandbox.errors.WouldNotStart: none could.
        tools.registry.ToolError: a tool of the environment cannot be resolved.
    """
    wishes: dict[str, Any] = {"limits": settings.limits_over(environment.profile.limits)}
    if settings.python is not None:
        wishes["python"] = settings.python
    if settings.site_packages is not None:
        wishes["site_packages"] = settings.site_packages
    profile = environment.toolbox.equip(attrs.evolve(environment.profile, **wishes))
    async with launcher.open_sandbox(profile):  # a cage alone would not show that sessions have their posture
        pass
    slots = trio.CapacityLimiter(settings.max_sessions)
    states = StateMemory(settings.state_bytes)
    return Ground(environment, profile, launcher, slots, settings.queue_seconds, states)
