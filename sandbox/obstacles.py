"""Why this machine refuses a cage: one cause and one remedy for the first thing that it refuses.

The kernel says EPERM for a dozen reasons. They are told apart by trying (`sandbox.probe`), by which step was
refused, and by what can be read of those who may have refused it: sysctls, the security profile, the filter
in force, what is mounted over /proc. A facility that is not understood gets a sentence that says so, with the
errno; it never gets a guess.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs

import sandbox
from sandbox import host as machine
from sandbox import remedies
from sandbox.errors import Exhausted
from sandbox.host import Host
from sandbox.ids import IDS, OUTSIDE_IDS, Ids

_SECONDS = 20
_BOOTSTRAP = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from sandbox import probe; getattr(probe, sys.argv[2])(*sys.argv[3:])"
)
_REFUSED = (errno.EPERM, errno.EACCES)
_FILTERED = (errno.EPERM, errno.EACCES, errno.ENOSYS)
_DEBIAN = "kernel.unprivileged_userns_clone"
_UBUNTU = "kernel.apparmor_restrict_unprivileged_userns"
_MOUNT_POINTS_OF_PROC = {"/proc/sys/fs/binfmt_misc", "/proc/fs/nfsd"}
"""Folders that are made for mounting over them, and hide nothing; the kernel knows that."""

_DEFAULT_PROFILES = {"kubernetes": "Kubernetes' RuntimeDefault", "podman": "Podman's default"}

_MOST_SHOWN = 3
_COUNTED = {
    "user namespace": "user",
    "user namespace of a session": "user",
    "mount namespace": "mnt",
    "PID namespace": "pid",
    "network namespace": "net",
    "IPC namespace": "ipc",
    "UTS namespace": "uts",
    "cgroup namespace": "cgroup",
}
"""Which sysctl bounds how many there are: ``user.max_…_namespaces``."""


@attrs.frozen
class Obstacle:
    """What stands in the way.

    Attributes:
        cause: who refuses what, as one clause.
        remedy: what to do about it, as a command to paste where there is one.
    """

    cause: str
    remedy: str

    def __str__(self) -> str:
        """Return both as one sentence."""
        return f"{self.cause}; {self.remedy}"


@attrs.frozen
class Attempts:
    """What `sandbox.probe` has seen.

    Attributes:
        filtered: system calls that a seccomp filter keeps from the kernel.
        steps: each step that was tried, in order, with its errno, 0 for success.
    """

    filtered: tuple[str, ...]
    steps: Mapping[str, int]

    def refused(self, *names: str) -> tuple[str, int] | None:
        """Return the first of these steps that was refused, with its errno."""
        return next(((name, self.steps[name]) for name in names if self.steps.get(name)), None)


def attempt(host: Host) -> Attempts:
    """Try in child processes what a cage needs; takes some 50 ms.

    Raises:
        Exhausted: no process can be started.
    """
    if host.privileged:
        found, _ = _probe("try_as_root", str(OUTSIDE_IDS), str(IDS))
    else:
        found, _ = _probe("try_as_user")
    return Attempts(
        filtered=tuple(
            name.removeprefix("call:")
            for name, error in found.items()
            if name.startswith("call:") and error in _FILTERED
        ),
        steps=_steps(found),
    )


def attempt_subordinate(ids: Ids) -> tuple[Mapping[str, int], str]:
    """Try in a child process what sessions with these ids need; return its steps, and what was complained of.

    Raises:
        Exhausted: no process can be started.
    """
    found, complaint = _probe("try_subordinate", str(ids.first), str(ids.count), *(ids.mappers or ()))
    return _steps(found), complaint


def _steps(found: Mapping[str, int]) -> Mapping[str, int]:
    return {name.removeprefix("step:"): error for name, error in found.items() if name.startswith("step:")}


def _probe(entry: str, *arguments: str) -> tuple[dict[str, int], str]:
    """Run a function of `sandbox.probe`; return what it found, and what was complained of on stderr."""
    top = str(Path(sandbox.__file__).parent.parent)
    try:
        told = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", _BOOTSTRAP, top, entry, *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=_SECONDS, env={}, text=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        msg = f"this machine could not be examined: {error}"
        raise Exhausted(msg) from None
    rows = (row.rpartition(" ") for row in told.stdout.splitlines())
    return {name: int(number) for name, _, number in rows}, told.stderr


def of_filter(filtered: tuple[str, ...]) -> Obstacle:
    """Name the seccomp filter that keeps these calls from the kernel."""
    whose = _DEFAULT_PROFILES.get(machine.container(), "Docker's default")
    cause = f"a seccomp filter refuses {', '.join(filtered)}, as {whose} profile does"
    return Obstacle(cause, remedies.for_system_calls())


def of_step(name: str, error: int, attempts: Attempts, host: Host) -> Obstacle:
    """Find out who refused a step.

    Args:
        name: the step, as `sandbox.probe` calls it.
        error: its errno.
        attempts: all that was tried.
        host: what this machine is.
    """
    found = None
    # Before a fresh /proc other mounts were made. A filter that lets them through is not to blame.
    if error in _FILTERED and attempts.filtered and (name != "proc" or "mount" in attempts.filtered):
        return of_filter(attempts.filtered)
    if error == errno.ENOSPC and name in _COUNTED:
        return _of_count(_COUNTED[name])
    if error == errno.EINVAL:
        return Obstacle(
            f"this kernel was built without what the {name} needs",
            "use a kernel with CONFIG_USER_NS, CONFIG_PID_NS, CONFIG_IPC_NS, CONFIG_UTS_NS and CONFIG_NET_NS",
        )
    if error in _REFUSED:
        found = _of_proc() if name == "proc" else _of_refusal(name, host)
    code = errno.errorcode.get(error, str(error))
    return found or Obstacle(
        f"the kernel refuses the {name} ({code}) for a reason that does not show from here",
        "look for a security module, a chroot or a sandbox around this process: `journalctl -k` may name it",
    )


def _of_count(kind: str) -> Obstacle:
    setting = f"user.max_{kind}_namespaces"
    value = machine.sysctl(setting)
    if value == "0":
        return Obstacle(f"the sysctl {setting} is 0", f"sudo sysctl -w {setting}=65536")
    return Obstacle(
        f"there are as many {kind} namespaces as there may be: the sysctl {setting} is {value} here, "
        "a container's host may allow fewer, and they are nested 32 deep at most",
        f"sudo sysctl -w {setting}=65536",
    )


def _of_refusal(name: str, host: Host) -> Obstacle | None:
    profile = machine.security_profile()
    if not host.privileged:
        if name.startswith("user namespace") and machine.sysctl(_DEBIAN) == "0":
            return Obstacle(
                f"only root may make user namespaces: the sysctl {_DEBIAN} is 0",
                f"sudo sysctl -w {_DEBIAN}=1",
            )
        if name == "user ids" and os.geteuid() == 0 and not machine.holds(machine.CAP_SETFCAP):
            return Obstacle(
                "root without the capability SETFCAP may not be root of a user namespace of its own",
                "run the server as an ordinary user (docker run --user 1000), or leave it SETFCAP",
            )
        if machine.sysctl(_UBUNTU) == "1" and not profile:
            return Obstacle(
                "AppArmor lets only programs that have a profile use user namespaces, as Ubuntu has it "
                f"from 24.04 on: the sysctl {_UBUNTU} is 1",
                f"{remedies.for_security_profile()} (or, for all programs: sudo sysctl -w {_UBUNTU}=0)",
            )
    if profile:
        return Obstacle(f"{profile} forbids the {name}", remedies.for_security_profile())
    return None


def _of_proc() -> Obstacle | None:
    below = {point for point in machine.mount_points() if point.startswith("/proc/")}
    covers = sorted(below - _MOUNT_POINTS_OF_PROC)
    if not covers:
        return None
    shown = ", ".join(covers[:_MOST_SHOWN]) + (" …" if len(covers) > _MOST_SHOWN else "")
    return Obstacle(
        f"/proc is covered in places ({shown}), as container engines have it by default, "
        "and then the kernel lets nobody in a user namespace mount a fresh one",
        remedies.for_proc(),
    )


def of_overlay(error: int) -> Obstacle:
    """Say why sessions cannot see shared files through overlays, from the errno of the first."""
    so = "so all locks are refused to them unless `shared_locks` is set, and SQLite does not work"
    below = sorted(point for point in machine.mount_points() if point.startswith("/usr/"))
    if error == errno.EINVAL and below:
        return Obstacle(
            f"other mounts lie below /usr ({', '.join(below[:_MOST_SHOWN])}), and the kernel lets no session "
            f"have an overlay of such a folder, {so}",
            "have nothing mounted there, or copied there instead",
        )
    if error == errno.ENODEV:
        return Obstacle(f"this kernel has no overlay file system, {so}", "sudo modprobe overlay")
    if error == errno.EINVAL:
        return Obstacle(
            f"/usr is on an overlay of an overlay already, and the kernel puts no third on top, {so}",
            "run the server one container further out, or keep its image on a file system of another kind",
        )
    code = errno.errorcode.get(error, str(error))
    return Obstacle(
        f"sessions may not have overlays of shared files ({code}), {so}", remedies.for_security_profile()
    )


def of_landlock(error: int) -> Obstacle:
    """Say why there is no Landlock, from the errno that asking for it gave."""
    without = "a session's files and sockets have one wall fewer"
    if error == errno.EOPNOTSUPP:
        return Obstacle(
            f"Landlock is built into this kernel and not switched on, so {without}",
            "put landlock into the kernel's boot parameter lsm=, in front of /sys/kernel/security/lsm's list",
        )
    if machine.is_filtered():
        return Obstacle(
            f"the seccomp filter in force hides Landlock, or this kernel has none, so {without}",
            remedies.for_system_calls(),
        )
    return Obstacle(
        f"this kernel was built without Landlock, so {without}",
        "use a kernel with CONFIG_SECURITY_LANDLOCK, best Linux 6.12 or later",
    )


def of_control_groups(why_not: str) -> Obstacle:
    """Say how to get control groups, from what `sandbox.cgroups` says is missing."""
    cause = f"{why_not}, so a watchdog looks at a session's memory ten times a second instead"
    return Obstacle(cause, remedies.for_control_groups(why_not))
