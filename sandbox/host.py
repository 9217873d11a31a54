"""What this machine can give, found out once per launcher by asking the kernel.

`Host` holds what every launcher needs to know. The functions below it are asked only when something is
missing, to tell who took it away.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Literal

import attrs

from sandbox.linux import landlock

Container = Literal["", "docker", "podman", "kubernetes"]

_CAPABILITIES_TO_BUILD = {"CAP_SETGID": 6, "CAP_SETUID": 7, "CAP_SYS_ADMIN": 21, "CAP_MKNOD": 27}
_CAPABILITIES_TO_GIVE_USERS = {
    "CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_FOWNER": 3, "CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7,
    "CAP_SETPCAP": 8,
}  # fmt: skip
CAP_SETFCAP = 31
_MACHINES_USERS = "user:[4026531837]"
"""The machine's own user namespace; the kernel gives it the same number everywhere."""


@attrs.frozen
class Host:
    """Facts of the machine and of this process.

    Attributes:
        kernel: major and minor version.
        machine: architecture as `uname` names it.
        privileged: root of the machine itself with the capabilities to build a cage outside a user namespace,
            which lets sessions have user ids of their own and reach an interpreter below a private directory.
            Root of a user namespace, as in a rootless container, is not: it can make no device nodes, and
            has few user ids to give.
        landlock: ABI version, 0 for none.
        gives_users: root that can let processes be other users without a user namespace, and end and clean up
            after them, as root of a container can by default.
    """

    kernel: tuple[int, int]
    machine: str
    privileged: bool
    landlock: int
    gives_users: bool = False


def effective_capabilities() -> int:
    """Return this process's effective capability set as a bit mask."""
    for row in Path("/proc/self/status").read_text().splitlines():
        if row.startswith("CapEff:"):
            return int(row.split()[1], 16)
    return 0


def holds(capability: int) -> bool:
    """Return whether this process has a capability, by its number."""
    return bool(effective_capabilities() >> capability & 1)


def examine_host() -> Host:
    """Ask the kernel."""
    major, minor = platform.release().split(".")[:2]
    capabilities = effective_capabilities()
    is_root = os.geteuid() == 0 and os.readlink("/proc/self/ns/user") == _MACHINES_USERS
    return Host(
        kernel=(int(major), int("".join(c for c in minor if c.isdigit()) or "0")),
        machine=platform.machine(),
        privileged=is_root and all(capabilities >> bit & 1 for bit in _CAPABILITIES_TO_BUILD.values()),
        landlock=landlock.abi(),
        gives_users=is_root and all(capabilities >> bit & 1 for bit in _CAPABILITIES_TO_GIVE_USERS.values()),
    )


def sysctl(name: str) -> str | None:
    """Return a kernel setting such as ``"user.max_user_namespaces"``; None where there is none."""
    try:
        return Path("/proc/sys", *name.split(".")).read_text().strip()
    except OSError:
        return None


def security_profile() -> str:
    """Return the AppArmor profile or SELinux context that this process runs under; empty for none."""
    for path in ("/proc/self/attr/apparmor/current", "/proc/self/attr/current"):
        try:
            label = Path(path).read_text().strip("\0\n ")
        except OSError:  # no such security module, or none at all
            continue
        if label and not label.startswith("unconfined"):
            return f"the AppArmor profile {label.split()[0]}" if ":" not in label else f"SELinux ({label})"
    return ""


def is_filtered() -> bool:
    """Return whether a seccomp filter is in force for this process."""
    return "\nSeccomp:\t2\n" in Path("/proc/self/status").read_text()


def gains_no_privileges() -> bool:
    """Return whether ``no_new_privs`` is set for this process, so that no set-uid program has its rights."""
    return "\nNoNewPrivs:\t1\n" in Path("/proc/self/status").read_text()


def container() -> Container:
    """Return what this process runs in, as far as it shows; the empty string where nothing does."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    # A read-only container of Podman's has a tmpfs of its own on /run, and the file is not seen there.
    named = os.environ.get("container")  # noqa: SIM112  # so it is spelled
    if named == "podman" or os.path.exists("/run/.containerenv"):
        return "podman"
    return "docker" if os.path.exists("/.dockerenv") else ""


def mount_points() -> set[str]:
    """Return where something is mounted."""
    return {row.split()[4] for row in Path("/proc/self/mountinfo").read_text().splitlines()}
