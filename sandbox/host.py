"""What this machine can give, found out once per launcher by asking the kernel."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import attrs

from sandbox.linux import landlock

_CAPABILITIES_TO_BUILD = {"CAP_SETGID": 6, "CAP_SETUID": 7, "CAP_SYS_ADMIN": 21, "CAP_MKNOD": 27}


@attrs.frozen
class Host:
    """Facts of the machine and of this process.

    Attributes:
        kernel: major and minor version.
        machine: architecture as `uname` names it.
        privileged: root with the capabilities to build a cage outside a user namespace, which lets sessions
            have user ids of their own and reach an interpreter below a private directory.
        landlock: ABI version, 0 for none.
    """

    kernel: tuple[int, int]
    machine: str
    privileged: bool
    landlock: int


def effective_capabilities() -> int:
    """Return this process's effective capability set as a bit mask."""
    for row in Path("/proc/self/status").read_text().splitlines():
        if row.startswith("CapEff:"):
            return int(row.split()[1], 16)
    return 0


def examine_host() -> Host:
    """Ask the kernel."""
    major, minor = platform.release().split(".")[:2]
    capabilities = effective_capabilities()
    return Host(
        kernel=(int(major), int("".join(c for c in minor if c.isdigit()) or "0")),
        machine=platform.machine(),
        privileged=os.geteuid() == 0
        and all(capabilities >> bit & 1 for bit in _CAPABILITIES_TO_BUILD.values()),
        landlock=landlock.abi(),
    )
