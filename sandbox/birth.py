"""From a request to a live, checked session: the one place where a box comes into being."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from typing import Any

import trio

from sandbox import packets, posture
from sandbox.box import Box
from sandbox.cage import GONE_SECONDS, START_SECONDS, Birth, Cage
from sandbox.cgroups import Group
from sandbox.errors import Exhausted, PostureMismatch, Unsupported, WouldNotStart
from sandbox.ids import SessionUser
from sandbox.lane import Lane
from sandbox.limits import Limits
from sandbox.line import Line
from sandbox.pidfd import HeldProcess
from sandbox.pipes import LanePipes, open_lane_pipes
from sandbox.profile import Profile

DYING_SECONDS = 1.0
"""How long a session that is not as it should be may take to turn out to be a dying one."""

_NO_DESCRIPTORS = (
    "no descriptors left for a session; raise the limit (ulimit -n) or have fewer sessions at once"
)


async def start_box(
    cage: Cage,
    profile: Profile,
    limits: Limits,
    promised: posture.Posture,
    user: SessionUser | None,
    group: Group | None,
    folder: str,
) -> Box:
    """Start a session, check its posture from outside, and return it.

    Shielded, with a deadline: a session that exists is always seen through to a box or to its death.

    Args:
        cage: where to start it.
        profile: what it starts from.
        limits: its bounds.
        promised: the posture it must have.
        user: its own, None when there is only the server's.
        group: its control groups, if any. Still the caller's.
        folder: its own, where the tier has no file systems for sessions; '' otherwise. Still the caller's.

    Raises:
        WouldNotStart: see `Launcher.open_sandbox`. Nothing is left.
    """
    if not profile.handlers:
        msg = f"profile {profile.name!r} has no handlers, so a session could not be asked anything"
        raise Unsupported(msg)
    first = profile.handlers[0].lane
    with ExitStack() as on_failure:
        try:
            ours, theirs = packets.pair()
            line = Line(ours)
            on_failure.callback(line.close)
            on_failure.callback(theirs.close)
            pipes = open_lane_pipes()
            on_failure.callback(pipes.close)
        except OSError as error:
            msg = f"no descriptors left for a session: {error}"
            raise Exhausted(msg) from None
        request = _request(limits, user, group, first, folder, is_shown=cage.shows_files)
        descriptors = [
            theirs.fileno(),
            *pipes.far,
            *(group.join if group else ()),
            *(group.folder if group else ()),
        ]
        with trio.CancelScope(shield=True, deadline=trio.current_time() + START_SECONDS):
            birth = await cage.start_session(request, descriptors)
            theirs.close()
            pipes.close_far()
            if birth.init is None:
                line.close()  # it exits of that, and the group must be empty when its lender takes it back
                await birth.dead.wait()
                raise Exhausted(_NO_DESCRIPTORS)
            try:
                tree, lane = await _await_ready(line, first, pipes)
                on_failure.callback(os.close, tree)
                on_failure.callback(lane.process.close)
                if cage.shows_files:
                    cage.show(birth, tree)
                await _check(birth, lane, user, group, promised)
                await _await_shown(birth, tree)
            except BaseException:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + GONE_SECONDS):
                    await _end(birth)
                raise
            if group is not None:
                group.seal()
            on_failure.pop_all()
            return Box(
                limits=limits,
                posture=promised,
                profile=profile,
                cage=cage,
                birth=birth,
                init=_init(birth),
                line=line,
                tree=tree,
                group=group,
                lanes={first: lane},
            )
    cage.close()
    msg = f"a session did not start within {START_SECONDS:.0f} s; its cage was given up"
    raise WouldNotStart(msg)


def _request(
    limits: Limits,
    user: SessionUser | None,
    group: Group | None,
    first: str,
    folder: str,
    *,
    is_shown: bool,
) -> dict[str, Any]:
    number = None
    if user is not None:
        number = user.outside if folder else user.number  # no namespace gives it another
    return {
        "folder": folder,
        "op": "session",
        "lane": first,
        "user": number,
        "is_shown": is_shown,
        "shares_user": bool(folder) and user is None,
        "watch_memory": group is None,
        "has_group_folder": bool(group and group.folder),
        "memory_bytes": limits.memory_bytes,
        "processes": limits.processes,
        "disk_bytes": limits.disk_bytes,
        "disk_inodes": limits.disk_inodes,
    }


async def _await_ready(line: Line, first: str, pipes: LanePipes) -> tuple[int, Lane]:
    report = await line.wait_for(("ready", "failed"), first)
    if report is None:
        msg = "the session's init died while it was being set up"
        raise WouldNotStart(msg)
    if report.message["op"] == "failed":
        what = report.message["error"]
        msg = f"the session could not be set up: {what}; `creche doctor` names the cause and the remedy"
        raise WouldNotStart(msg)
    if not report.descriptors:
        raise Exhausted(_NO_DESCRIPTORS)
    tree, process = report.descriptors
    return tree, Lane(first, pipes, HeldProcess(process))


def _init(birth: Birth) -> HeldProcess:
    if birth.init is None:
        msg = "a session that was started has no init"
        raise AssertionError(msg)
    return birth.init


async def _check(
    birth: Birth, lane: Lane, user: SessionUser | None, group: Group | None, promised: posture.Posture
) -> None:
    outside = posture.own_user() if user is None else user.outside
    try:
        posture.check(
            (_init(birth).pid(), lane.process.pid()),
            outside,
            tier=promised.tier,
            group=None if group is None else group.name,
            locks=promised.locks,
        )
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise Exhausted(_NO_DESCRIPTORS) from None
        mismatch = _not_measured(error)
    except KeyError as error:
        mismatch = _not_measured(error)
    except PostureMismatch as error:
        mismatch = error
    else:
        return
    if await _is_dying(_init(birth), lane.process):
        msg = "the session died while it was checked; perhaps it has too little memory"
        raise WouldNotStart(msg)
    raise mismatch


def _not_measured(error: Exception) -> PostureMismatch:
    return PostureMismatch(f"the session's posture could not be measured: {error}; it was killed")


async def _is_dying(*processes: HeldProcess) -> bool:
    """Whether one of them ends by itself now: who dies lets go of namespaces and filters before that."""
    with trio.move_on_after(DYING_SECONDS):
        async with trio.open_nursery() as nursery:

            async def watch(process: HeldProcess) -> None:
                await process.wait_ended()
                nursery.cancel_scope.cancel()

            for process in processes:
                nursery.start_soon(watch, process)
    return any(process.has_ended() for process in processes)


async def _await_shown(birth: Birth, tree: int) -> None:
    """See that what the session will leave can be read; mostly it can by the time the rest was checked."""
    if _is_ours(tree):
        return
    await birth.shown.wait()
    if not _is_ours(tree):
        why = birth.error or "they were left their owner's"
        msg = f"the server was not shown the session's files: {why}; it was killed"
        raise WouldNotStart(msg)


def _is_ours(tree: int) -> bool:
    user = os.geteuid()
    return user == 0 or user == os.fstat(tree).st_uid  # root may read and change whatever is whose


async def _end(birth: Birth) -> None:
    init = _init(birth)
    init.kill()
    await birth.dead.wait()
    init.close()
