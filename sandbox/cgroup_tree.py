"""Which control groups this process is in, and how it comes to have groups below its own.

Version 2 lets a group have either processes or children with controllers. So whoever is delegated a group,
which is therefore called its *home* here, has to leave it before it can use it: all processes of the home
move to one leaf in it, once, and back when the last server there closes. Servers that share a home share the
leaf, and may start and close at any time: what one finds changed under its hands it does again.

::

    creche.service                    the home: delegated by systemd, Delegate=yes
    ├─ creche-server                  the leaf: servers, and whoever started them
    └─ creche-<pid>-<random>          the subtree of one launcher, see `sandbox.cgroups`

A unit with ``DelegateSubgroup=`` has such a leaf from the start; its parent is the home, and nothing moves.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import time
from collections.abc import Iterable
from pathlib import Path

LEAF = "creche-server"
REQUIRED = ("memory", "pids")
WELCOME = ("cpu",)
"""Where it is to be had, sessions share the processor as sessions, however many processes each has."""

TRIES = 20
RACES = (errno.EBUSY, errno.EEXIST, errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP)
"""What is seen when another server opens or closes at the same moment."""


class NotDelegated(Exception):
    """A group cannot give its children the controllers that they need; the message names both."""


def own_paths() -> dict[str, str]:
    """Return controller → this process's path in its hierarchy; the version 2 hierarchy has the name ''."""
    paths: dict[str, str] = {}
    for row in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = row.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


def mounts() -> dict[str, Path]:
    """Return controller → where its hierarchy is mounted; version 2 has the name ''."""
    found: dict[str, Path] = {}
    for row in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = row.partition(" - ")
        kind, _, options = right.split(" ", 2)
        point = Path(left.split()[4])
        if kind == "cgroup2":
            found.setdefault("", point)
        elif kind == "cgroup":
            for controller in options.split()[-1].split(","):
                found.setdefault(controller, point)
    return found


def below(mount: Path, path: str) -> Path:
    """Return where a group of `own_paths` is found below its hierarchy's mount.

    In a container the path may be that of the host, which is not visible: the mount is then our own root.
    """
    relative = path.lstrip("/")
    candidate = mount / relative
    return candidate if ".." not in relative.split("/") and candidate.is_dir() else mount


def find_home(mount: Path, path: str) -> Path:
    """Return the version 2 group in which a server in `path` makes its groups: that one or the one around."""
    if path.endswith(f"/{LEAF}"):  # the leaf may be gone by now, and this process back in its home
        return below(mount, path.removesuffix(LEAF))
    own = below(mount, path)
    is_unit = own.suffix in (".service", ".scope", ".slice")
    if not is_unit and _is_delegated(own.parent) and not _is_delegated(own):
        return own.parent
    return own


def _is_delegated(group: Path) -> bool:
    """Whether systemd says so, from version 251 on."""
    try:
        return os.getxattr(group, "user.delegate") == b"1"
    except OSError:
        return False


def occupy(home: Path) -> None:
    """Make a home's controllers usable below it.

    Raises:
        NotDelegated: it has not all that is needed.
        OSError: something could not be written; with an error number of `RACES` it may be tried again.
    """
    missing = [name for name in REQUIRED if name not in (home / "cgroup.controllers").read_text().split()]
    if missing:
        msg = f"{home}/cgroup.controllers does not list {' and '.join(missing)}"
        raise NotDelegated(msg)
    if not (home / "cgroup.type").exists():
        pass  # the machine's root group, which alone may have both
    elif not set(REQUIRED) <= set((home / "cgroup.subtree_control").read_text().split()):
        leaf = home / LEAF
        leaf.mkdir(exist_ok=True)
        _move(home, leaf)
    enable(home)


def enable(group: Path) -> None:
    """Give the controllers to a group's children, all in one write.

    Half of them would do harm: a group with processes of its own to which the processor's controller is
    added alone cannot have the memory's any more, nor can any of its children.
    """
    available = (group / "cgroup.controllers").read_text().split()
    welcome = [name for name in WELCOME if name in available]
    try:
        put(group / "cgroup.subtree_control", _signed("+", (*REQUIRED, *welcome)))
    except OSError as error:
        if error.errno != errno.EINVAL:  # real-time processes somewhere keep the processor undivided
            raise
        put(group / "cgroup.subtree_control", _signed("+", REQUIRED))


def leave(home: Path) -> None:
    """Undo `occupy`, unless another server is using the home; who moved to the leaf moves back."""
    leaf = home / LEAF
    if not leaf.is_dir():
        return
    with contextlib.suppress(OSError):
        control = home / "cgroup.subtree_control"
        put(control, _signed("-", control.read_text().split()))  # busy while another server uses it
        _move(leaf, home)
        leaf.rmdir()


def wait_empty(group: Path, seconds: float) -> bool:
    """Wait until no process is left in a group or below it; return whether that came to be.

    Blocks, but only where there is something to wait for. Version 1 cannot tell, and counts as empty.
    """
    deadline = time.monotonic() + seconds
    try:
        events = os.open(group / "cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        poller = select.poll()
        poller.register(events, select.POLLPRI)
        while b"populated 1" in os.pread(events, 4096, 0):
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            poller.poll(remaining * 1000)
    except OSError:  # removed by another server that sweeps
        return True
    finally:
        os.close(events)
    return True


def put(path: Path, text: str) -> None:
    """Write to a control file; an error names it, which that of a write alone does not."""
    try:
        path.write_text(text)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def _signed(sign: str, controllers: Iterable[str]) -> str:
    return " ".join(sign + name for name in controllers)


def _move(source: Path, target: Path) -> None:
    """Move all processes, those that are forked meanwhile included."""
    for _ in range(TRIES):
        pids = (source / "cgroup.procs").read_text().split()
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                put(target / "cgroup.procs", pid)
