"""What every session of a cage is confined by, as the plan says it: carried out by init, then by each lane.

With namespaces init confines itself once and its lanes inherit that. Without them a lane could signal init
and read /proc of the whole machine, so each lane goes into a Landlock domain of its own, below init's and
without /proc: from there it can signal nothing but what it has started itself.
"""

from __future__ import annotations

import base64
import os
from typing import Any, NamedTuple

from sandbox.inside import root
from sandbox.linux import landlock, seccomp


class Confinement(NamedTuple):
    """The part of a plan that concerns a session's own processes.

    Attributes:
        namespaces: whether sessions have namespaces, and so a root, ids and numbers of their own.
        landlock: the Landlock ABI to use, 0 for none.
        policy: the seccomp program; empty for none.
        paths: what Landlock lets be listed, read, written to one by one (devices), and owned.
        loopback: whether there is a network to use TCP in.
        layers: what each session's own root is made of; empty where it sees the cage's.
    """

    namespaces: bool
    landlock: int
    policy: bytes
    paths: dict[str, list[str]]
    loopback: bool
    layers: list[tuple[str, str]]

    @classmethod
    def of(cls, spec: dict[str, Any], *, own_root: bool) -> Confinement:
        """Read it from the plan; what the kernel has decides about Landlock where the plan leaves it open.

        Without roots of their own, sessions get the locks that the plan says.
        """
        locks = "own" if own_root else spec["locks"]
        return cls(
            namespaces=spec["namespaces"],
            landlock=min(landlock.abi(), spec["landlock"]) if spec["landlock"] else 0,
            policy=base64.b64decode(spec["seccomp"][locks]),
            paths=spec["paths"],
            loopback=spec["loopback"],
            layers=root.layers_of(spec) if own_root else [],
        )

    def restrict_session(self, folder: str) -> None:
        """Confine init, and all that it will start, for good. Needs no_new_privs.

        Args:
            folder: the session's own, where it has no root of its own; otherwise unused.
        """
        if self.landlock:
            # Init looks after processes, which it finds in /proc.
            self._restrict(folder, () if self.namespaces else ("/proc",))
        if self.policy:
            seccomp.load(self.policy)

    def restrict_lane(self, folder: str) -> None:
        """Confine a lane further than its init, and make sure that it is.

        The kernel tells nobody outside whether a Landlock domain is in force, so it is tried here, by our own
        code and before the first hostile byte.

        Raises:
            RuntimeError: it is not.
        """
        if self.namespaces or not self.landlock:
            return
        self._restrict(folder, ())
        if _can_read("/proc/self/status") or _can_signal(os.getppid()):
            msg = "Landlock does not confine this lane"
            raise RuntimeError(msg)

    def _restrict(self, folder: str, also_read: tuple[str, ...]) -> None:
        own = self.paths["own"] if self.namespaces else [folder]
        allowed = (
            *((path, landlock.READ_DIR) for path in self.paths["list"]),
            *((path, landlock.READ) for path in (*self.paths["read"], *also_read)),
            *((path, landlock.READ_WRITE_ONE) for path in self.paths["write"]),
            *((path, ~0) for path in own),
        )
        landlock.restrict(self.landlock, allowed, tcp=self.loopback)


def _can_read(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except PermissionError:
        return False
    return True


def _can_signal(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return False
    return True
