"""What this machine has of what a full sandbox needs, what each facility gives, and how to get it.

Every finding comes from trying: namespaces are made by a child process that does nothing else, the last row
starts a real session. So the answer holds for this very process, in this very container, under this very
security profile.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

import attrs
import trio

from sandbox.cage_plan import find_interpreter
from sandbox.cgroups import open_control_groups
from sandbox.errors import SandboxError, Unsupported
from sandbox.host import examine_host
from sandbox.launcher import open_launcher
from sandbox.linux import landlock, namespaces
from sandbox.profile import Handler, Profile
from sandbox.syscall_policy import compile_policy

Status = Literal["yes", "weaker", "no"]

_PROBE_SECONDS = 20
_ENOUGH_DESCRIPTORS = 16_384
_NAMESPACES = {
    "mount": (namespaces.NEWNS, "a read-only root of its own"),
    "PID": (namespaces.NEWPID, "one kill ends every process of a session"),
    "network": (namespaces.NEWNET, "no network, or a loopback of its own"),
    "IPC": (namespaces.NEWIPC, "no shared memory between sessions"),
    "UTS": (namespaces.NEWUTS, "a host name of its own"),
    "cgroup": (namespaces.NEWCGROUP, "hides the server's control groups"),
}
_UNSHARE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for flags in map(int, sys.argv[1:]):
    if libc.unshare(flags) != 0:
        sys.exit(ctypes.get_errno())
"""
_HELLO = "def hello(state):\n    return 'hello'\n"


@attrs.frozen
class Finding:
    """One row of the doctor's table.

    Attributes:
        facility: what was looked for.
        status: ``"no"`` means that the tier `full` cannot be had; ``"weaker"`` that it can, with less behind
        it.
        found: what there is.
        gives: what it is good for.
        remedy: how to get it; empty when it is there.
    """

    facility: str
    status: Status
    found: str
    gives: str
    remedy: str = ""


def _unshare_error(*flags: int) -> int:
    """Have a child process unshare; return its errno, 0 when it could."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", _UNSHARE, *map(str, flags)],
        stdin=subprocess.DEVNULL, check=False, timeout=_PROBE_SECONDS, env={},
    ).returncode  # fmt: skip


def _setting(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _user_namespace_remedy(error: int) -> str:
    """Name the cause of a refused user namespace, as far as it can be told, and the cure."""
    if _setting("/proc/sys/user/max_user_namespaces") == "0":
        return "sysctl user.max_user_namespaces is 0: set it to 65536"
    if _setting("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return "sysctl kernel.unprivileged_userns_clone is 0: set it to 1, or run as root"
    if _setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor restricts user namespaces (Ubuntu 24.04): load a profile with 'userns,' for it, "
            "set sysctl kernel.apparmor_restrict_unprivileged_userns to 0, or run as root"
        )
    if error == errno.ENOSPC:
        return (
            "the limit of nested or counted user namespaces is reached: raise sysctl user.max_user_namespaces"
        )
    return (
        "a security profile forbids it, as Docker's and Kubernetes' default seccomp profiles do: "
        "run the container with a profile that allows clone, unshare, mount, pivot_root and setns"
    )


def _kernel() -> Finding:
    host = examine_host()
    found = f"Linux {host.kernel[0]}.{host.kernel[1]} on {host.machine}"
    gives = "mount_setattr, openat2, pidfd, close_range"
    if host.kernel < (5, 12):
        return Finding("kernel", "no", found, gives, "5.12 or later is needed: upgrade the kernel")
    if host.machine not in ("x86_64", "aarch64"):
        return Finding("kernel", "no", found, gives, "only x86_64 and aarch64 are supported")
    return Finding("kernel", "yes", found, gives)


def _privilege() -> Finding:
    if examine_host().privileged:
        return Finding("privilege", "yes", "root", "each session has a user id of its own on the host")
    remedy = "run as root to give each session a user id of its own"
    return Finding("privilege", "weaker", f"user {os.geteuid()}", "sessions run as this user, caged", remedy)


def _user_namespaces() -> Finding:
    gives = "sessions hold no privilege on the host"
    error = _unshare_error(namespaces.NEWUSER)
    if error == 0:
        return Finding("user namespaces", "yes", "can be made", gives)
    found = f"refused ({errno.errorcode.get(error, error)})"
    return Finding("user namespaces", "no", found, gives, _user_namespace_remedy(error))


def _other_namespaces() -> list[Finding]:
    first = () if examine_host().privileged else (namespaces.NEWUSER,)
    rows: list[Finding] = []
    for name, (flag, gives) in _NAMESPACES.items():
        error = _unshare_error(*first, flag)
        if error == 0:
            rows.append(Finding(f"{name} namespaces", "yes", "can be made", gives))
        else:
            found = f"refused ({errno.errorcode.get(error, error)})"
            remedy = f"see user namespaces; or raise the sysctl below user.max_*_namespaces for {name}"
            rows.append(Finding(f"{name} namespaces", "no", found, gives, remedy))
    return rows


def _seccomp() -> Finding:
    gives = "an allowlist of system calls"
    try:
        program = compile_policy(loopback=False, memory_cgroup=True)
    except Unsupported as error:
        return Finding("seccomp", "no", "libseccomp is missing", gives, str(error))
    return Finding("seccomp", "yes", f"a filter of {len(program) // 8} instructions", gives)


def _landlock() -> Finding:
    version = landlock.abi()
    gives = "a second wall around files; from ABI 6 on also around abstract sockets and signals"
    if version >= landlock.ABI_SCOPES:
        return Finding("Landlock", "yes", f"ABI {version}", gives)
    remedy = (
        "Linux 6.12 or later with 'landlock' in the lsm= boot parameter; "
        "until then a session's files and sockets have one wall fewer"
    )
    return Finding("Landlock", "weaker", f"ABI {version}" if version else "none", gives, remedy)


def _control_groups() -> Finding:
    gives = "memory and processes of a session are counted and bounded by the kernel"
    groups = open_control_groups()
    try:
        if groups.version:
            return Finding("control groups", "yes", f"version {groups.version}, memory and pids", gives)
    finally:
        groups.close()
    remedy = (
        "start the server with delegation: systemd-run --user --scope -p Delegate=yes creche serve; "
        "until then a watchdog looks at memory ten times a second"
    )
    return Finding("control groups", "weaker", groups.why_not, gives, remedy)


def _interpreter() -> Finding:
    gives = "what sessions run"
    try:
        interpreter = find_interpreter(None)
    except Unsupported as error:
        return Finding("interpreter", "no", "unusable", gives, str(error))
    if not os.access(interpreter.executable, os.R_OK | os.X_OK):
        remedy = "it cannot be read by this user: use an interpreter elsewhere, or run as root"
        return Finding("interpreter", "no", interpreter.executable, gives, remedy)
    return Finding("interpreter", "yes", interpreter.executable, gives)


def _shell() -> Finding:
    gives = "the bash tool"
    if shutil.which("bash", path="/usr/bin:/bin"):
        return Finding("bash", "yes", "/bin/bash", gives)
    return Finding(
        "bash",
        "weaker",
        "none",
        gives,
        "install bash; until then environments with the bash tool do not work",
    )


def _descriptors() -> Finding:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    gives = "about ten descriptors per live session"
    if hard == resource.RLIM_INFINITY or hard >= _ENOUGH_DESCRIPTORS:
        return Finding("open files", "yes", f"up to {hard}", gives)
    return Finding(
        "open files",
        "weaker",
        f"up to {hard}",
        gives,
        f"raise the hard limit: ulimit -Hn {_ENOUGH_DESCRIPTORS}",
    )


async def _session() -> Finding:
    gives = "all of the above together, and the posture measured from outside"
    profile = Profile(
        name="doctor", handlers=(Handler(name="hello", lane="doctor", target="doctor:hello", source=_HELLO),)
    )
    try:
        async with open_launcher() as launcher:
            await launcher.warm(profile)
            started = trio.current_time()
            async with launcher.open_sandbox(profile) as box:
                observation = await box.call("hello", {})
                seconds = trio.current_time() - started
    except SandboxError as error:
        return Finding("a session", "no", "did not start", gives, str(error))
    if observation.value != "hello":
        return Finding(
            "a session",
            "no",
            f"answered {observation.outcome}",
            gives,
            "please report this with the rows above",
        )
    return Finding("a session", "yes", f"full, answered after {seconds * 1000:.1f} ms", gives)


def _examine_host() -> list[Finding]:
    return [
        _kernel(),
        _privilege(),
        _user_namespaces(),
        *_other_namespaces(),
        _seccomp(),
        _landlock(),
        _control_groups(),
        _interpreter(),
        _shell(),
        _descriptors(),
    ]


async def examine() -> list[Finding]:
    """Look at everything; the last row is a real session. Takes a second or two."""
    return [*await trio.to_thread.run_sync(_examine_host), await _session()]


def tier_of(findings: list[Finding]) -> Literal["full", "none"]:
    """Return the tier that these findings allow."""
    return "none" if any(finding.status == "no" for finding in findings) else "full"
