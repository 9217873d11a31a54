"""What this machine has of what a full sandbox needs, what each facility gives, and how to get it.

Every finding comes from trying: namespaces and mounts are made by a child process that does nothing else, the
last row starts a real session. So the answer holds for this very process, in this very container, under this
very security profile. `missing` is the same without the session: it tells a server that could not start why.
"""

from __future__ import annotations

import errno
import os
import shutil
from typing import Literal

import attrs
import trio

from sandbox import obstacles, open_files, reach, subordinate
from sandbox.cgroups import open_control_groups
from sandbox.errors import SandboxError, Unsupported
from sandbox.host import Host, examine_host, is_filtered
from sandbox.ids import Ids
from sandbox.interpreter import find_interpreter
from sandbox.launcher import open_launcher
from sandbox.linux import landlock
from sandbox.obstacles import Obstacle
from sandbox.profile import Handler, Profile
from sandbox.syscall_filter import compile_policy
from sandbox.tiers import Tier

Status = Literal["yes", "weaker", "no", "not tried"]

_LANDLOCK_SINCE = {
    2: "moving files between folders (5.19)",
    3: "truncating (6.2)",
    4: "TCP (6.7)",
    5: "devices' ioctls (6.10)",
    landlock.ABI_SCOPES: "abstract sockets and signals (6.12)",
}
_HELLO = "def hello(state):\n    return 'hello'\n"


@attrs.frozen
class Finding:
    """One row of the doctor's table.

    Attributes:
        facility: what was looked for.
        status: ``"no"`` means that the tier `full` cannot be had; ``"weaker"`` that it can, with less behind
            it; ``"not tried"`` that what was missing before stood in the way.
        found: what there is, in a few words.
        gives: what it is good for.
        cause: why it is not there, or what is weaker without it, as one clause; empty when all is well.
        remedy: how to get it; empty when it is there.
    """

    facility: str
    status: Status
    found: str
    gives: str
    cause: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        """Return cause and remedy as one sentence."""
        return f"{self.facility}: {self.cause}; {self.remedy}"


def _no(facility: str, found: str, gives: str, obstacle: Obstacle) -> Finding:
    return Finding(facility, "no", found, gives, obstacle.cause, obstacle.remedy)


def _weaker(facility: str, found: str, gives: str, obstacle: Obstacle) -> Finding:
    return Finding(facility, "weaker", found, gives, obstacle.cause, obstacle.remedy)


def _kernel(host: Host) -> Finding:
    version = ".".join(map(str, host.kernel))
    found = f"Linux {version} on {host.machine}"
    gives = "mount_setattr, openat2, pidfd, close_range"
    if host.kernel < (5, 12):
        return _no(
            "kernel", found, gives, Obstacle(f"Linux {version} is too old", "upgrade it to 5.12 or later")
        )
    if host.machine not in ("x86_64", "aarch64"):
        obstacle = Obstacle(f"{host.machine} is not supported", "use a machine with x86_64 or aarch64")
        return _no("kernel", found, gives, obstacle)
    return Finding("kernel", "yes", found, gives)


def _privilege(host: Host, ids: Ids | Obstacle | None) -> Finding:
    gives = "each session has a user id of its own on the host"
    if host.privileged:
        return Finding("privilege", "yes", "root", gives)
    user = f"user {os.geteuid()}"
    if isinstance(ids, Ids):
        found = f"{user}, ids {ids.first} to {ids.first + ids.count - 1}"
        return Finding("privilege", "yes", found, gives)
    if ids is not None:
        cause = f"all sessions run as {user}, the server's own, each caged, for {ids.cause}"
        return _weaker("privilege", user, gives, Obstacle(cause, ids.remedy))
    obstacle = Obstacle(
        "this root has no ids to give away, so all sessions run with its own, which outside may be root's",
        "run the server as an ordinary user (docker run --user 1000), or as root of the machine itself",
    )
    return _weaker("privilege", "root of a container", gives, obstacle)


_STEPS = {
    "user namespaces": (
        ("user namespace", "user ids", "user namespace of a session"),
        "sessions hold no privilege on the host",
    ),
    "mounts": (("mount namespace", "mounts", "trees"), "a read-only root of its own"),
    "a fresh /proc": (
        ("PID namespace", "proc"),
        "one kill ends every process of a session; it sees no others",
    ),
    "other namespaces": (
        ("network namespace", "IPC namespace", "UTS namespace", "cgroup namespace"),
        "no network, no memory shared between sessions, a host name of its own",
    ),
}
"""Row → steps of `sandbox.probe` that it stands for, and what it gives."""


def _namespaces(host: Host) -> list[Finding]:
    attempts = obstacles.attempt(host)
    rows: list[Finding] = []
    gives = "builds cages"
    blocked = obstacles.of_filter(attempts.filtered) if attempts.filtered else None
    if blocked is not None:
        rows.append(_no("system calls", f"{len(attempts.filtered)} are refused", gives, blocked))
    else:
        found = "filtered, with all that is needed" if is_filtered() else "not filtered"
        rows.append(Finding("system calls", "yes", found, gives))
    for facility, (steps, gives) in _STEPS.items():
        refused = attempts.refused(*steps)
        if refused is not None:
            found = f"refused ({errno.errorcode.get(refused[1], refused[1])})"
            obstacle = obstacles.of_step(*refused, attempts, host)
            if obstacle == blocked:  # which has been told
                rows.append(Finding(facility, "no", found, gives))
            else:
                rows.append(_no(facility, found, gives, obstacle))
        elif all(step in attempts.steps for step in steps):
            rows.append(Finding(facility, "yes", "can be made", gives))
        else:
            rows.append(Finding(facility, "not tried", "", gives))
    return [*rows, _locks(attempts)]


def _locks(attempts: obstacles.Attempts) -> Finding:
    gives = "SQLite and flock work, and no session's locks are met by another"
    error = attempts.steps.get("overlay")
    if error is None:
        return Finding("file locks", "not tried", "", gives)
    if error:
        return _weaker("file locks", "refused", gives, obstacles.of_overlay(error))
    return Finding("file locks", "yes", "each session has its own", gives)


def _seccomp() -> Finding:
    gives = "an allowlist of system calls"
    try:
        program = compile_policy(loopback=False, memory_cgroup=True)
    except Unsupported as error:
        cause, _, remedy = str(error).partition("; ")
        return _no("seccomp", "cannot be used", gives, Obstacle(cause, remedy))
    return Finding("seccomp", "yes", f"a filter of {len(program) // 8} instructions", gives)


def _landlock() -> Finding:
    gives = "a second wall around files, abstract sockets and signals"
    version, error = landlock.probe()
    if version >= landlock.ABI_SCOPES:
        return Finding("Landlock", "yes", f"ABI {version}", gives)
    if version:
        lacking = ", ".join(what for since, what in _LANDLOCK_SINCE.items() if since > version)
        obstacle = Obstacle(f"the kernel's Landlock knows nothing yet of {lacking}", "upgrade the kernel")
        return _weaker("Landlock", f"ABI {version}", gives, obstacle)
    return _weaker("Landlock", "none", gives, obstacles.of_landlock(error))


def _control_groups() -> Finding:
    gives = "memory and processes of a session are counted and bounded by the kernel"
    groups = open_control_groups()
    try:
        if groups.version:
            return Finding("control groups", "yes", f"version {groups.version}, memory and pids", gives)
    finally:
        groups.close()
    return _weaker("control groups", "none", gives, obstacles.of_control_groups(groups.why_not))


def _interpreter(path: str | None, *, owns_ids: bool) -> Finding:
    gives = "what sessions run"
    try:
        interpreter = find_interpreter(path)
    except Unsupported as error:
        cause, _, remedy = str(error).rpartition("; ")
        obstacle = (reach.of_path(path) if path else None) or Obstacle(cause, remedy)
        return _no("interpreter", "cannot be run", gives, obstacle)
    closed = reach.of_path(interpreter.executable)
    if closed is None and owns_ids:
        closed = reach.of_sessions(interpreter)
    if closed is not None:
        return _no("interpreter", interpreter.executable, gives, closed)
    return Finding("interpreter", "yes", interpreter.executable, gives)


def _shell() -> Finding:
    gives = "the bash tool"
    if shutil.which("bash", path="/usr/bin:/bin"):
        return Finding("bash", "yes", "/bin/bash", gives)
    obstacle = Obstacle("environments with the bash tool do not work", "install bash")
    return _weaker("bash", "none", gives, obstacle)


def few_open_files(max_sessions: int, others: int = 0, lanes: int = open_files.LANES) -> Finding:
    """Compare the hard limit of open files with what so many sessions, and others on standby, may need."""
    hard, needed = open_files.hard_limit(), open_files.needed(max_sessions + others, lanes)
    gives = f"{max_sessions} sessions at once"
    if hard is None or hard >= needed:
        return Finding("open files", "yes", "as many as needed" if hard is None else f"up to {hard}", gives)
    enough = max(1, open_files.sessions_possible(hard, lanes) - others)
    obstacle = Obstacle(
        f"the hard limit of {hard} is enough for some {enough} sessions at once, "
        f"and max_sessions is {max_sessions}",
        f"ulimit -Hn {needed} (systemd: LimitNOFILE={needed}; docker run --ulimit nofile={needed}), "
        f"or --set max_sessions={enough}",
    )
    return _weaker("open files", f"up to {hard}", gives, obstacle)


async def try_session(python: str | None, tier: Tier) -> Finding:
    """Start a session of this tier, and ask it something."""
    gives = "all of the above together, and the posture measured from outside"
    hello = Handler(name="hello", lane="doctor", target="doctor:hello", source=_HELLO)
    profile = Profile(name="doctor", python=python, handlers=(hello,))
    try:
        async with open_launcher(tier=tier) as launcher:
            await launcher.warm(profile)
            started = trio.current_time()
            async with launcher.open_sandbox(profile) as box:
                observation = await box.call("hello", {})
                seconds = trio.current_time() - started
            why_shared = launcher.why_shared(profile)
    except SandboxError as error:
        obstacle = Obstacle(str(error), "the rows above name the cause; if none does, please report this")
        return _no("a session", "did not start", gives, obstacle)
    if observation.value != "hello":
        obstacle = Obstacle(f"it answered {observation.outcome}", "please report this with the rows above")
        return _no("a session", "did not answer", gives, obstacle)
    found = f"{tier}, answered after {seconds * 1000:.1f} ms"
    if why_shared:
        found += f", without file locks ({why_shared})"
    return Finding("a session", "yes", found, gives)


def _examine_host(python: str | None, max_sessions: int) -> list[Finding]:
    host = examine_host()
    ids = None if os.geteuid() == 0 else subordinate.find()
    return [
        _kernel(host),
        _privilege(host, ids),
        *_namespaces(host),
        _seccomp(),
        _landlock(),
        _control_groups(),
        _interpreter(python, owns_ids=host.privileged or isinstance(ids, Ids)),
        _shell(),
        few_open_files(max_sessions),
    ]


async def examine(python: str | None, max_sessions: int, tier: Tier = "full") -> list[Finding]:
    """Look at everything; the last row is a real session. Takes a second or two.

    Args:
        python: the interpreter of the sessions, None for the server's own.
        max_sessions: how many are to live at once.
        tier: that of the session. The other rows are about `full`.
    """
    findings = await trio.to_thread.run_sync(_examine_host, python, max_sessions)
    return [*findings, await try_session(python, tier)]


async def missing(python: str | None) -> list[Finding]:
    """Return what keeps the tier `full` from being had here, each with its cause; no session is tried."""
    findings = await trio.to_thread.run_sync(_examine_host, python, 1)
    return [finding for finding in findings if finding.status == "no" and finding.cause]


def tier_of(findings: list[Finding], wanted: Tier = "full") -> Tier | None:
    """Return the tier that these findings allow: the one that was wanted; None where it cannot be had."""
    needed = findings if wanted == "full" else findings[-1:]
    return None if any(finding.status == "no" for finding in needed) else wanted
