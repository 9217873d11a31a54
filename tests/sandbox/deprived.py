"""Runs a command on a machine that has less: what is taken away is really away, for it and all it starts.

`command` gives the command line to start; this module is also the program that it starts. In a process of its
own that makes the namespaces it needs, lays files and folders over others, writes sysctls, gives up
capabilities, loads seccomp filters, and executes the command in its place. Nothing of the machine itself
changes, and nothing is left when the command ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from sandbox.linux import calls, mounts, namespaces, privileges, seccomp
from tests.sandbox.old_landlock import supervise
from tests.sandbox.seccomp_profiles import compile_profile

_SECONDS = 150  # less than pytest waits for a test, and more than any command takes
_PR_CAPBSET_DROP = 24
_LAST_CAPABILITY = 63
_ATTR_NOEXEC = 0x8

DOCKER_CAPABILITIES = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)
"""What Docker leaves to root: among them SETUID, SETGID, SETFCAP and MKNOD, and not SYS_ADMIN."""

DOCKER_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
DOCKER_HIDDEN = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/acpi", "/proc/scsi")


@attrs.frozen(kw_only=True)
class Without:
    """What is to be taken away.

    Attributes:
        seccomp: a profile in Docker's format.
        capabilities: the numbers of those that root keeps; None for all.
        user_namespaces: how many may be made; None for as many as before.
        ids: how many user ids root has, in a user namespace; None for all, outside of one.
        laid_over: folder to the files that are seen in it, name to content, in place of what is there.
        hidden: files and folders that are seen empty. One that is not there is skipped.
        read_only: files and folders that cannot be written to. One that is not there is skipped.
        no_exec: folders in which nothing can be executed.
        open_files: the hard limit of open files.
        landlock: the newest ABI version of Landlock that there is; None for the kernel's.
    """

    seccomp: Mapping[str, Any] | None = None
    capabilities: tuple[int, ...] | None = None
    user_namespaces: int | None = None
    ids: int | None = None
    laid_over: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict[str, Mapping[str, str]])
    hidden: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()
    no_exec: tuple[str, ...] = ()
    open_files: int | None = None
    landlock: int | None = None


def command(without: Without, *arguments: str) -> list[str]:
    """Return the command line that executes `arguments` without what is to be taken away."""
    wanted = json.dumps(attrs.asdict(without))
    return [sys.executable, "-P", "-m", "tests.sandbox.deprived", wanted, *arguments]


def run(without: Without, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `arguments` to its end and return what it printed."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("CRECHE_")}
    return subprocess.run(
        command(without, *arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
        env=inherited | environ,
    )


def _main() -> None:
    without = Without(**json.loads(sys.argv[1]))
    # Before libseccomp is hidden.
    program = None if without.seccomp is None else compile_profile(without.seccomp)
    _enter_namespaces(without)
    _change_mounts(without)
    if without.user_namespaces is not None:
        Path("/proc/sys/user/max_user_namespaces").write_text(str(without.user_namespaces), "ascii")
    if without.open_files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (without.open_files, without.open_files))
    if without.capabilities is not None and os.geteuid() == 0:
        _drop_capabilities(set(range(_LAST_CAPABILITY + 1)) - set(without.capabilities))
    if program is not None or without.landlock is not None:
        privileges.forbid_new_privileges()
    if without.landlock is not None:
        supervise(without.landlock)
    if program is not None:
        seccomp.load(program)
    os.execv(sys.argv[2], sys.argv[2:])


def _enter_namespaces(without: Without) -> None:
    """Get a mount namespace; whoever is not root gets it by a user namespace, whose rights executing ends."""
    if os.geteuid() != 0:
        user = os.geteuid()
        namespaces.unshare(namespaces.NEWUSER | namespaces.NEWNS)
        namespaces.write_maps(_open_proc(), "self", user, user, 1)
    elif without.user_namespaces is None and without.ids is None:
        namespaces.unshare(namespaces.NEWNS)
    else:
        _unshare_mapped(without.ids or 1 << 31)
    mounts.make_private()


def _unshare_mapped(ids: int) -> None:
    """Enter a user namespace with many ids, which only a process outside of it may map."""
    entered_read, entered_write = os.pipe()
    target = os.getpid()
    mapper = os.fork()
    if mapper == 0:
        os.read(entered_read, 1)
        namespaces.write_maps(_open_proc(), str(target), 0, 0, ids)
        os._exit(0)
    namespaces.unshare(namespaces.NEWUSER | namespaces.NEWNS)
    os.write(entered_write, b"e")
    os.waitpid(mapper, 0)


def _open_proc() -> int:
    return os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _change_mounts(without: Without) -> None:
    laid_over: dict[str, Mapping[str, str]] = {
        path: {} for path in without.hidden if Path(path).is_dir()
    } | dict(without.laid_over)
    for folder, files in laid_over.items():
        mounts.mount("laid-over", folder, "tmpfs", data="mode=755")
        for name, content in files.items():
            Path(folder, name).write_text(content, "utf-8")
    for path in without.hidden:
        if Path(path).is_file():
            mounts.bind("/dev/null", path)
    for path in without.read_only:
        if Path(path).exists():
            _remount(path, mounts.ATTR_RDONLY)
    for path in without.no_exec:
        _remount(path, _ATTR_NOEXEC)


def _remount(path: str, attribute: int) -> None:
    tree = mounts.clone_tree(path)
    mounts.restrict_tree(tree, attribute)
    mounts.attach_tree(tree, path)
    os.close(tree)


def _drop_capabilities(numbers: set[int]) -> None:
    """Drop them from the bounding set: what root executes then gets the rest."""
    zero = ctypes.c_ulong(0)
    for number in numbers:
        calls.libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(number), zero, zero, zero)


if __name__ == "__main__":
    _main()
