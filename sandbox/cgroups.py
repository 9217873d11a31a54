"""Control groups: where a session's memory and processes are counted and bounded.

Version 2 where a delegated subtree is writable, the version 1 controllers where that is what there is,
nothing otherwise (then rlimits and the watchdog do the bounding, and the posture says so). A session's groups
are made ahead of time, joined by its init as its first act, and removed once it is reaped.

A launcher's groups are ``creche-<pid>-<random>/<number>``, named after the server and held by it, so that the
next start can tell what a killed server left from what a living one uses (`sandbox.owner`).
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import attrs

from sandbox import cgroup_tree, owner
from sandbox.cgroup_tree import REQUIRED, below, find_home
from sandbox.limits import Limits

_OF_CAGES = "cages"
_DYING_SECONDS = 2.0
"""How long the processes of a killed server's sessions may take to die."""


@attrs.define(eq=False)
class Group:
    """The control groups of one session.

    Attributes:
        join: descriptors of their ``tasks`` (version 1) or ``cgroup.procs``, for the session's init to write
            "0" to. Init has one thread, so both mean the same; but moving a whole process waits for an RCU
            grace period, 10 ms on an idle machine, and a thread that moves itself does not.
        folder: on version 2, which has no ``tasks``, a descriptor of the folder itself, for the zygote to
            fork init into it. That waits for nothing, and makes `join` the second choice.
    """

    _folders: dict[str, str]
    _version: int
    join: list[int]
    folder: list[int] = attrs.field(factory=list[int])

    @property
    def name(self) -> str:
        """The last two parts of its path, which no other group on this machine has."""
        return "/".join(self._folders["pids"].rsplit("/", 2)[1:])

    def limit(self, limits: Limits) -> None:
        """Set the bounds. Called before anything joins."""
        memory, pids = self._folders["memory"], self._folders["pids"]
        if self._version == 1:
            _write(f"{memory}/memory.limit_in_bytes", limits.memory_bytes)
            if os.path.exists(f"{memory}/memory.memsw.limit_in_bytes"):
                _write(f"{memory}/memory.memsw.limit_in_bytes", limits.memory_bytes)
        else:
            _write(f"{memory}/memory.max", limits.memory_bytes)
            if os.path.exists(f"{memory}/memory.swap.max"):
                _write(f"{memory}/memory.swap.max", 0)
        _write(f"{pids}/pids.max", limits.processes)

    def out_of_memory_kills(self) -> int:
        """Return how many of its processes the kernel has killed for want of memory; 0 once it is closed."""
        name = "memory.oom_control" if self._version == 1 else "memory.events"
        try:
            rows = _read(f"{self._folders['memory']}/{name}").decode().splitlines()
        except FileNotFoundError:  # a call that was in flight when its box was closed
            return 0
        for row in rows:
            key, _, value = row.partition(" ")
            if key == "oom_kill":
                return int(value)
        return 0

    def peak_memory_bytes(self) -> int | None:
        """Return the high-water mark of its memory; None where the kernel keeps none."""
        name = "memory.max_usage_in_bytes" if self._version == 1 else "memory.peak"
        try:
            return int(_read(f"{self._folders['memory']}/{name}"))
        except (OSError, ValueError):
            return None

    def cpu_seconds(self) -> float | None:
        """Return the processor time of all that ever ran in it; None where nothing counts it (version 1)."""
        if self._version == 1:
            return None
        try:
            rows = _read(f"{self._folders['pids']}/cpu.stat").decode().splitlines()
        except FileNotFoundError:
            return None
        return int(rows[0].removeprefix("usage_usec ")) / 1e6

    def pids(self) -> int:
        """Return how many processes and threads it holds now."""
        return int(_read(f"{self._folders['pids']}/pids.current"))

    def kill(self) -> None:
        """Kill whatever is in it at once, where the kernel can (version 2); harmless when empty."""
        with contextlib.suppress(FileNotFoundError):
            if self._version != 1:
                _write(self._folders["memory"] + "/cgroup.kill", 1)

    def seal(self) -> None:
        """Close the descriptors: its session's init has joined, and nothing else will."""
        for descriptor in (*self.join, *self.folder):
            os.close(descriptor)
        self.join.clear()
        self.folder.clear()

    def close(self) -> None:
        """Remove it. Its session has been reaped, or is dying with its cage.

        In the latter case its last processes may still be inside, and nobody is left to tell when they go;
        the folder then goes with the whole subtree, at `ControlGroups.close`.
        """
        self.seal()
        for folder in dict.fromkeys(self._folders.values()):
            try:
                os.rmdir(folder)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EBUSY):
                    raise


@attrs.define(eq=False)
class ControlGroups:
    """The subtree in which this server makes its sessions' groups.

    Attributes:
        version: 1, 2, or 0 where there is none.
        why_not: for 0, what is missing, in one clause.
    """

    version: int
    why_not: str = ""
    _parents: dict[str, Path] = attrs.field(factory=dict[str, Path])
    _held: list[int] = attrs.field(factory=list[int])
    _home: Path | None = None
    _zygote: int | None = None
    _number: Iterator[int] = attrs.field(factory=itertools.count)

    def make(self) -> Group | None:
        """Make the groups of one session, without bounds yet; None where there are no control groups."""
        if not self.version:
            return None
        name = str(next(self._number))
        folders = {controller: f"{parent}/{name}" for controller, parent in self._parents.items()}
        group = Group(folders, self.version, [])
        try:
            for folder in dict.fromkeys(folders.values()):
                os.mkdir(folder)
                members = "tasks" if self.version == 1 else "cgroup.procs"
                group.join.append(os.open(f"{folder}/{members}", os.O_WRONLY | os.O_CLOEXEC))
                if self.version != 1:
                    _allow_joining(folder, self._zygote)
                    group.folder.append(os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        except OSError:
            group.close()
            raise
        return group

    @property
    def of_cages(self) -> str:
        """The version 2 group for keepers and zygotes; empty on version 1, where they need none."""
        return f"{self._parents['pids']}/{_OF_CAGES}" if self._home is not None else ""

    def close(self) -> None:
        """Remove the subtree, with the groups of sessions that died with their cage, not closed yet.

        A zygote whose keeper was killed dies with nobody to wait for it, so the version 2 subtree, in which
        it is, may still be emptying. What does not go in time is for the next start to sweep.
        """
        for parent in dict.fromkeys(self._parents.values()):
            lingering = () if cgroup_tree.wait_empty(parent, _DYING_SECONDS) else (OSError,)
            with contextlib.suppress(FileNotFoundError, *lingering):
                for folder in [path for path in parent.iterdir() if path.is_dir()]:
                    folder.rmdir()
                parent.rmdir()
        while self._held:
            os.close(self._held.pop())
        if self._home is not None:
            cgroup_tree.leave(self._home)


def _allow_joining(folder: str | Path, user: int | None) -> None:
    if user is not None:
        os.chown(f"{folder}/cgroup.procs", user, -1)


def _write(path: str, value: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, b"%d" % value)
    finally:
        os.close(file)


def _read(path: str) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, 4096)
    finally:
        os.close(file)


def open_control_groups(zygote: int | None = None) -> ControlGroups:
    """Find and prepare the subtree for this server, and sweep what killed servers left in it.

    Args:
        zygote: the user who shall be allowed to fork processes into version 2 groups there; None where it is
            the server's own.

    Returns:
        The subtree; `version` 0 with the reason when there is none that can be used.
    """
    paths, mounts = cgroup_tree.own_paths(), cgroup_tree.mounts()
    name = owner.new_name()
    try:
        if all(each in mounts and each in paths for each in REQUIRED):
            return _open_version_1({each: below(mounts[each], paths[each]) for each in REQUIRED}, name)
        if "" in mounts:
            return _open_version_2(find_home(mounts[""], paths.get("", "/")), name, zygote)
    except cgroup_tree.NotDelegated as error:
        return ControlGroups(0, str(error))
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        return ControlGroups(0, f"{error.filename} cannot be written ({reason})")
    return ControlGroups(0, "no control group file system is mounted")


def _open_version_1(parents: dict[str, Path], name: str) -> ControlGroups:
    made: dict[Path, int] = {}
    try:
        for parent in dict.fromkeys(parents.values()):
            sweep(parent)
            made[parent / name] = owner.make(str(parent / name))
    except OSError:
        for folder, held in made.items():
            folder.rmdir()
            os.close(held)
        raise
    folders = {controller: parent / name for controller, parent in parents.items()}
    return ControlGroups(1, "", folders, list(made.values()))


def _open_version_2(home: Path, name: str, zygote: int | None) -> ControlGroups:
    sweep(home)
    cages = home / name / _OF_CAGES
    held: list[int] = []
    for again in reversed(range(cgroup_tree.TRIES)):
        try:
            cgroup_tree.occupy(home)
            held = held or [owner.make(str(home / name))]
            cgroup_tree.enable(home / name)
            cages.mkdir(exist_ok=True)
            # Who forks a process into a group may have it in the group around both.
            _allow_joining(home / name, zygote)
            break
        except OSError as error:
            if not again or error.errno not in cgroup_tree.RACES:
                for folder in (cages, home / name):
                    with contextlib.suppress(OSError):
                        folder.rmdir()
                for each in held:
                    os.close(each)
                cgroup_tree.leave(home)
                raise
    return ControlGroups(2, "", dict.fromkeys(REQUIRED, home / name), held, home, zygote)


def sweep(parent: Path) -> int:
    """Remove what servers that no longer live left below `parent`; return how many sessions' it was."""
    swept = 0
    for left in map(Path, owner.abandoned(str(parent))):
        cgroup_tree.wait_empty(left, _DYING_SECONDS)
        # What is busy, its processes still dying, is for the next start.
        with contextlib.suppress(OSError):
            for folder in [path for path in left.iterdir() if path.is_dir()]:
                with contextlib.suppress(OSError):
                    folder.rmdir()
                    swept += 1
            left.rmdir()
    return swept
