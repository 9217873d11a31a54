"""Starts sandboxes: one cage per profile, kept alive and replaced when it dies; one box per session."""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import attrs
import trio

from sandbox import subordinate
from sandbox.bare import bare_exceptions
from sandbox.birth import start_box
from sandbox.box import Box
from sandbox.cage import Cage, open_cage
from sandbox.cage_plan import make_plan
from sandbox.cgroups import ControlGroups, Group, open_control_groups
from sandbox.errors import Exhausted, PostureMismatch, WouldNotStart
from sandbox.folders import name_folder, open_cage_folder, open_session_folder, sweep
from sandbox.host import Host, examine_host
from sandbox.ids import OUTSIDE_IDS, ROOTS, Ids, SessionUser
from sandbox.limits import Limits
from sandbox.posture import Posture
from sandbox.profile import Profile
from sandbox.standby import Standby
from sandbox.syscall_policy import Locks
from sandbox.tiers import MEANS, Tier, demand


@attrs.define(eq=False)
class Launcher:
    """Opens sandboxes. Made by `open_launcher`.

    Attributes:
        host: what this machine can give.
        ids: what sessions have users of their own from; None where they share the server's.
        alive: how many sandboxes are open now.
        mismatches: how many sessions were killed because their posture was not as promised.
    """

    host: Host
    ids: Ids | None
    _tier: Tier
    _control_groups: ControlGroups
    _nursery: trio.Nursery
    _ready_sessions: int
    _shares_locks: bool
    _standby: Standby = attrs.field(init=False)
    _cages: dict[Profile, Cage] = attrs.field(factory=dict[Profile, Cage])
    _building: dict[Profile, trio.Lock] = attrs.field(factory=dict[Profile, trio.Lock])
    _free_ids: deque[int] = attrs.field(init=False)
    alive: int = 0
    mismatches: int = 0

    def __attrs_post_init__(self) -> None:
        """Make the standby, which starts sessions as this does."""
        self._free_ids = _numbers(self.ids.count if self.ids else 0)
        self._standby = Standby(self._ready_sessions, self._open_fresh, self._nursery)

    async def warm(self, profile: Profile) -> Cage:
        """Return the profile's cage, built now if there is none or if it has died.

        Raises:
            WouldNotStart: it cannot be built; `Unsupported` where that will not change by itself.
        """
        async with self._building.setdefault(profile, trio.Lock()):
            cage = self._cages.get(profile)
            if cage is None or cage.lost.is_set():
                plan = await trio.to_thread.run_sync(self._plan, profile)
                built: Cage | WouldNotStart = await self._nursery.start(_keep_cage, plan)
                if isinstance(built, WouldNotStart):
                    raise built
                cage = self._cages[profile] = built
            self._standby.fill(profile)
            return cage

    def _plan(self, profile: Profile) -> dict[str, Any]:
        try:
            plan = make_plan(
                profile,
                ids=self.ids,
                memory_cgroup=bool(self._control_groups.version),
                landlock=self.host.landlock,
                tier=self._tier,
                folder="" if MEANS[self._tier].namespaces else name_folder(),
                group=self._control_groups.of_cages,
            )
        except OSError as error:
            msg = f"no cage could be planned: {error}"
            raise Exhausted(msg) from None
        return plan | {"locks": self._other_locks}

    @property
    def gives_users(self) -> bool:
        """Whether each session has a user id of its own on the host."""
        return self.ids is not None

    def posture(self, profile: Profile) -> Posture:
        """Return what a session of this profile is promised here, by its cage if there is one."""
        version = self._control_groups.version
        return Posture(
            tier=self._tier,
            landlock=self.host.landlock if MEANS[self._tier].landlock else 0,
            network=profile.network,
            memory_bound_by=f"cgroup v{version}" if version else "watchdog",
            locks="own" if self._gives_roots and not self.why_shared(profile) else self._other_locks,
            user="own" if self.gives_users else "shared",
        )

    @property
    def _gives_roots(self) -> bool:
        return MEANS[self._tier].namespaces

    @property
    def _other_locks(self) -> Locks:
        """What locks there are where sessions have no inodes of their own."""
        return "shared" if self._shares_locks or not self._gives_roots else "refused"

    def why_shared(self, profile: Profile) -> str:
        """Return what keeps sessions of this profile from having inodes, and so locks, of their own.

        '' where nothing does, where the tier does not give that, and before there is a cage.
        """
        cage = self._cages.get(profile)
        return "" if cage is None else cage.facts["why_shared"]

    @asynccontextmanager
    async def open_sandbox(self, profile: Profile, limits: Limits | None = None) -> AsyncGenerator[Box]:
        """Give out a session's sandbox, fresh in every case; on the way out kill it and see it gone.

        Raises:
            WouldNotStart: it could not be had; `Unsupported` when the machine or the configuration is to
                blame, `Exhausted` when trying again later may help, `PostureMismatch` when it was not as
                promised. Nothing of it is left, and the launcher stays usable.
        """
        async with self._standby.borrow(profile, limits or profile.limits) as box:
            self.alive += 1
            try:
                yield box
            finally:
                self.alive -= 1

    @asynccontextmanager
    async def _open_fresh(self, profile: Profile, limits: Limits) -> AsyncGenerator[Box]:
        cage = await self.warm(profile)
        with self._lend_user() as user, self._lend_group(limits) as group:
            owner = None if user is None else user.outside
            async with open_session_folder(cage.folder, owner) as folder:
                try:
                    async with cage.starting:
                        box = await start_box(
                            cage, profile, limits, self.posture(profile), user, group, folder
                        )
                except PostureMismatch:
                    self.mismatches += 1
                    raise
                try:
                    yield box
                finally:
                    await box.aclose()

    def ready(self, profile: Profile) -> int:
        """Return how many sessions of this profile are on standby."""
        return self._standby.ready(profile)

    async def aclose(self) -> None:
        """Close the sessions on standby. Shielded, with a deadline for each."""
        await self._standby.aclose()

    @contextmanager
    def _lend_user(self) -> Generator[SessionUser | None]:
        """Lend a user that no other living session has; None when there is only the server's own."""
        if self.ids is None:
            yield None
            return
        if not self._free_ids:
            msg = f"all {self.ids.count} user ids for sessions are in use"
            raise Exhausted(msg)
        number = self._free_ids.popleft()  # the one that has been free for the longest
        try:
            yield self.ids.user(number)
        finally:
            self._free_ids.append(number)

    @contextmanager
    def _lend_group(self, limits: Limits) -> Generator[Group | None]:
        try:
            group = self._control_groups.make()
        except OSError as error:
            msg = f"a control group could not be made: {error}"
            raise Exhausted(msg) from None
        try:
            if group is not None:
                _set_bounds(group, limits)
            yield group
        finally:
            if group is not None:
                group.close()


def _numbers(count: int) -> deque[int]:
    """Return 1 to `count`, from a random one on.

    What the kernel counts by id it counts wherever the id is in use: by another server on this machine, or by
    another program of the user whose range it is.
    """
    start = random.SystemRandom().randrange(count) if count else 0
    return deque([*range(start + 1, count + 1), *range(1, start + 1)])


def _ids(tier: Tier, host: Host) -> Ids | None:
    if not MEANS[tier].namespaces:
        return ROOTS if host.gives_users else None
    if host.privileged:
        return ROOTS
    found = None if os.geteuid() == 0 else subordinate.find()
    return found if isinstance(found, Ids) else None


def _set_bounds(group: Group, limits: Limits) -> None:
    try:
        group.limit(limits)
    except OSError as error:
        msg = f"a control group could not be given its bounds: {error}"
        raise Exhausted(msg) from None


async def _keep_cage(plan: dict[str, Any], *, task_status: trio.TaskStatus[Cage | WouldNotStart]) -> None:
    """Build a cage and live as long as it does; a failure is for whoever asked, not for the nursery."""
    try:
        async with open_cage_folder(plan["folder"]) as held, open_cage(plan, held) as cage:
            task_status.started(cage)
            await cage.listen()
    except WouldNotStart as error:
        task_status.started(error)


@asynccontextmanager
async def open_launcher(
    *, tier: Tier = "full", standby: int = 0, shares_locks: bool = False
) -> AsyncGenerator[Launcher]:
    """Open a launcher; on the way out end every cage, and with it whatever still lives in one.

    Args:
        tier: the isolation that every session must have.
        standby: how many sessions of each profile to have running before they are asked for. They cost what
            idle sessions cost.
        shares_locks: let sessions lock inodes that others have too, where they cannot have their own. Without
            it all locks are refused there.

    Raises:
        Unsupported: this machine cannot give the tier.
    """
    host = examine_host()
    demand(tier, host)
    if not MEANS[tier].namespaces:
        await trio.to_thread.run_sync(sweep)
    ids = await trio.to_thread.run_sync(_ids, tier, host)
    control_groups = open_control_groups(OUTSIDE_IDS if host.privileged else None)
    try:
        with bare_exceptions():
            async with trio.open_nursery() as nursery:
                launcher = Launcher(host, ids, tier, control_groups, nursery, standby, shares_locks)
                try:
                    yield launcher
                finally:
                    await launcher.aclose()
                nursery.cancel_scope.cancel()
    finally:
        control_groups.close()
