"""The keeper: builds a cage, starts the zygote in it, and waits.

Run by the server's own interpreter, as ``python -I -S -B -c "..."``, in a fresh single-threaded process. What
it does, in order, and why in that order:

1. As root it unshares the mount namespace; as an ordinary user the user namespace first, which is what gives
   it the right. Where that user has a range of ids, they are mapped into it (`sandbox.linux.subordinate`).
2. It takes every tree it will show by descriptor, and reads what it will copy, before anything is mounted
   over the paths that lead there.
3. It builds the root: one tmpfs with a few directories, links, device nodes, copied files and the trees, all
   read-only. The layers of the sessions' own roots are put beside them (`sandbox.inside.root`).
4. It forks into a new PID namespace. The child mounts that namespace's /proc, pivots into the root and drops
   the old one.
5. As root, only now the child unshares a user namespace: pivoting needs mounts that are not locked by a user
   namespace above. The keeper, still outside, maps ids that belong to nobody on this host.
6. The child executes the profile's interpreter inside the cage as the zygote. Nothing of the build remains in
   its memory.

Where the tier has no namespaces, steps 1 to 5 are left out: the keeper fills a folder with copies of our far
side, the child executes the interpreter where it is, and the keeper, as the parent of last resort of all
that has lost its own, ends whatever a dead zygote has left, and removes the folder if the server cannot
(`sandbox.inside.plain`).

A zygote looks at its socket when it has prepared itself, which runs code of a profile's author and may hang.
So there is a lifeline besides, a pipe that ends when the server hangs up or dies: the keeper then gives the
zygote a moment to end by itself, and kills it.

The specification comes as JSON in a descriptor (see `sandbox.cage_plan`). A failure is reported over the
steering socket in one sentence that names the step.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import stat
import sys
from typing import Any, NoReturn

from sandbox import packets
from sandbox.inside import plain, rlimits, root
from sandbox.inside.processes import END_SECONDS, wipe_after
from sandbox.linux import mounts, namespaces, privileges, subordinate

ROOT = "/tmp"

_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9)}
_DEVICE_MODE = 0o666
_ZERO_MODE = 0o444  # whoever may write to it may map it shared: see `_PATHS` in `sandbox.cage_plan`

_LEAVE_SECONDS = 5.0
"""How long a zygote may take to end after the server has hung up: without namespaces it ends its sessions."""


def main(spec_descriptor: int, steering_descriptor: int, lifeline: int) -> None:
    """Build the cage, start the zygote, exit with its status once it and all that was in the cage has ended.

    Args:
        spec_descriptor: a file with the specification.
        steering_descriptor: the socket between server and zygote.
        lifeline: the reading end of a pipe that the server holds open for as long as it wants the cage.
    """
    server = os.getppid()
    steering = socket.socket(fileno=steering_descriptor)
    step = ["reading the specification"]
    try:
        with open(spec_descriptor, closefd=False, encoding="utf-8") as file:
            spec = json.load(file)
        zygote = _start(spec, spec_descriptor, steering_descriptor, step)
    except BaseException as error:  # noqa: BLE001 - reported, then this process ends
        _give_up(steering, step[0], error)
    steering.close()
    status = _wait_ended(zygote, lifeline)
    if not spec["namespaces"]:
        wipe_after(END_SECONDS)
        if os.getppid() != server:
            plain.remove_tree(spec["folder"])
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _give_up(steering: socket.socket, step: str, error: BaseException) -> NoReturn:
    what = f"{type(error).__name__}: {error}"
    packets.send_last(steering, {"op": "failed", "step": step, "error": what})
    os._exit(1)


def _wait_ended(zygote: int, lifeline: int) -> int:
    process = os.pidfd_open(zygote)
    poller = select.poll()
    poller.register(process, select.POLLIN)
    poller.register(lifeline, 0)  # its end is told unasked
    poller.poll()
    poller.unregister(lifeline)
    if not poller.poll(_LEAVE_SECONDS * 1000):
        os.kill(zygote, signal.SIGKILL)
    return os.waitpid(zygote, 0)[1]


def _start(spec: dict[str, Any], spec_descriptor: int, steering_descriptor: int, step: list[str]) -> int:
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    user, group = os.geteuid(), os.getegid()
    _be_killable()
    rlimits.take_all_allowed()
    if not spec["namespaces"]:
        os.close(proc)
        return _start_plainly(spec, spec_descriptor, steering_descriptor, step)
    if spec["group"]:
        step[0] = "joining the control group of cages"
        with open(f"{spec['group']}/cgroup.procs", "wb", buffering=0) as join:
            join.write(b"0")
    step[0] = "making a mount namespace"
    if spec["privileged"]:
        os.setgroups([])  # later the cage's user namespace forbids it
        namespaces.unshare(namespaces.NEWNS)
    else:
        step[0] = "making a user namespace without being root"
        if spec["subordinate"]:
            subordinate.unshare(namespaces.NEWNS, **spec["subordinate"])
        else:
            namespaces.unshare(namespaces.NEWUSER | namespaces.NEWNS)
            privileges.set_dumpable(dumpable=True)
            _write_own_maps(proc, user, group)
    mounts.make_private()
    step[0] = "taking the trees to show"
    trees = [(mounts.clone_tree(tree["source"]), tree["target"]) for tree in spec["trees"]]
    copies = {target: _read(source) for target, source in spec["copies"].items()}
    step[0] = "building the root"
    _build_root(spec, trees, copies)
    step[0] = "making a PID namespace"
    namespaces.unshare(namespaces.NEWPID)
    unshared_read, unshared_write = os.pipe()
    mapped_read, mapped_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(unshared_read)
        os.close(mapped_write)  # or it would wait for itself when its ids cannot be mapped
        _become_zygote(spec, spec_descriptor, steering_descriptor, step, unshared_write, mapped_read)
    os.close(unshared_write)
    os.close(mapped_read)
    if os.read(unshared_read, 1) and spec["privileged"]:
        step[0] = "mapping ids into the cage"
        namespaces.write_maps(proc, str(child), 0, spec["outside_ids"], spec["ids"])
    try:
        os.write(mapped_write, b"m")
    except BrokenPipeError:
        pass  # it has failed, has said why, and is still to be reaped
    for descriptor in (unshared_read, mapped_write, proc, spec_descriptor):
        os.close(descriptor)
    return child


def _be_killable() -> None:
    """Give up what may protect the server from the OOM killer: a session could take it back for itself.

    Written by root this is also the lowest score that what is started from here can ever have.
    """
    with open("/proc/self/oom_score_adj", "r+", encoding="ascii") as score:
        if int(score.read()) < 0:
            score.seek(0)
            score.write("0")


def _write_own_maps(proc: int, user: int, group: int) -> None:
    for name, content in (("setgroups", "deny"), ("gid_map", f"0 {group} 1"), ("uid_map", f"0 {user} 1")):
        file = os.open(f"self/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
        os.write(file, content.encode())
        os.close(file)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _build_root(spec: dict[str, Any], trees: list[tuple[int, str]], copies: dict[str, bytes]) -> None:
    os.umask(0o022)
    devices = [] if spec["privileged"] else [(mounts.clone_tree(f"/dev/{name}"), name) for name in _DEVICES]
    mounts.mount("creche-root", ROOT, "tmpfs", mounts.NOSUID, "mode=755,size=64m,nr_inodes=4096")
    _fill(ROOT, spec, copies)
    _add_devices(devices)
    for tree, target in trees:
        if stat.S_ISDIR(os.fstat(tree).st_mode):
            os.makedirs(ROOT + target, exist_ok=True)
        else:
            _touch(ROOT + target)
        mounts.restrict_tree(tree, mounts.ATTR_RDONLY | mounts.ATTR_NOSUID | mounts.ATTR_NODEV)
        mounts.attach_tree(tree, ROOT + target)
        os.close(tree)
    root.add_layers(ROOT, spec)
    for target in spec["masks"]:
        options = "size=4k,nr_inodes=2,mode=755"
        mounts.mount("creche-empty", ROOT + target, "tmpfs", mounts.RDONLY | mounts.NOSUID, options)


def _fill(top: str, spec: dict[str, Any], copies: dict[str, bytes]) -> None:
    for directory in spec["directories"]:
        os.makedirs(top + directory, exist_ok=True)
    for path, target in spec["links"].items():
        os.makedirs(os.path.dirname(top + path), exist_ok=True)
        os.symlink(target, top + path)
    written = {path: content.encode() for path, content in spec["files"].items()}
    for path, data in {**written, **copies}.items():
        with open(top + path, "wb") as file:
            file.write(data)


def _add_devices(devices: list[tuple[int, str]]) -> None:
    """Make the device nodes, or where that is not allowed bind the host's, taken before, over empty files."""
    if not devices:
        for name, (major, minor) in _DEVICES.items():
            mode = _ZERO_MODE if name == "zero" else _DEVICE_MODE
            os.mknod(f"{ROOT}/dev/{name}", stat.S_IFCHR | mode, os.makedev(major, minor))
            os.chmod(f"{ROOT}/dev/{name}", mode)
    for tree, name in devices:
        _touch(f"{ROOT}/dev/{name}")
        mounts.restrict_tree(
            tree, mounts.ATTR_RDONLY | mounts.ATTR_NOSUID
        )  # a device can be written all the same
        mounts.attach_tree(tree, f"{ROOT}/dev/{name}")
        os.close(tree)


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))


def _become_zygote(
    spec: dict[str, Any],
    spec_descriptor: int,
    steering_descriptor: int,
    step: list[str],
    unshared: int,
    mapped: int,
) -> NoReturn:
    steering = socket.socket(fileno=steering_descriptor)
    try:
        step[0] = "mounting /proc"
        mounts.mount("proc", ROOT + "/proc", "proc", mounts.NOSUID | mounts.NODEV | mounts.NOEXEC)
        step[0] = "pivoting into the root"
        os.chdir(ROOT)
        mounts.pivot_root(".", ".")
        mounts.unmount(".")
        os.chdir("/")
        mounts.mount("none", "/", flags=mounts.REMOUNT | mounts.BIND | mounts.RDONLY | mounts.NOSUID)
        step[0] = "making the cage's namespaces"
        others = namespaces.NEWNET | namespaces.NEWIPC | namespaces.NEWUTS
        if not spec["group"]:  # from a namespace of its own it could not fork into groups beside its own
            others |= namespaces.NEWCGROUP
        if spec["privileged"]:
            others |= namespaces.NEWUSER | namespaces.NEWNS
        namespaces.unshare(others)
        os.write(unshared, b"u")
        if not os.read(mapped, 1):
            os._exit(1)  # the keeper has given up, and has said why
        privileges.become(0, 0)
        socket.sethostname("creche")
        step[0] = "executing the interpreter in the cage"
        _execute(spec, spec_descriptor, steering_descriptor)
    except BaseException as error:  # noqa: BLE001 - reported, then this process ends
        sys.stderr.flush()
        _give_up(steering, step[0], error)


def _execute(spec: dict[str, Any], spec_descriptor: int, steering_descriptor: int) -> NoReturn:
    """Become the zygote."""
    privileges.close_all_but((0, 1, 2, spec_descriptor, steering_descriptor))
    for descriptor in (spec_descriptor, steering_descriptor):
        fcntl.fcntl(descriptor, fcntl.F_SETFD, 0)
    start = "import sys; sys.path.insert(0, sys.argv[1]); from sandbox.inside.zygote import main; main()"
    numbers = (str(spec_descriptor), str(steering_descriptor))
    arguments = [spec["python"], "-s", "-B", "-c", start, spec["library"], *numbers]
    os.execve(spec["python"], arguments, spec["environment"])


def _start_plainly(
    spec: dict[str, Any], spec_descriptor: int, steering_descriptor: int, step: list[str]
) -> int:
    """Start the zygote without a cage around it."""
    step[0] = "filling the cage's folder"
    privileges.adopt_orphans()
    os.umask(0o022)
    _fill("", spec, {target: _read(source) for target, source in spec["copies"].items()})
    child = os.fork()
    if child == 0:
        try:
            step[0] = "executing the interpreter"
            _execute(spec, spec_descriptor, steering_descriptor)
        except BaseException as error:  # noqa: BLE001 - reported, then this process ends
            _give_up(socket.socket(fileno=steering_descriptor), step[0], error)
    os.close(spec_descriptor)
    return child
