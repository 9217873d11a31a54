"""Does what building a cage does, step by step, in processes that do nothing else, and tells where it ends.

Run like the keeper, as ``python -I -S -B -c "..."``, because only a process with one thread can unshare and
fork. It prints one line per attempt, ``name errno``, with 0 for success; `sandbox.obstacles` makes sense of
them. There are two kinds of attempts:

* **calls** that the kernel itself always answers in one way, and never with EPERM or ENOSYS. So these two
  answers mean that a seccomp filter stands in front of the kernel. Nothing else tells the refusal of a filter
  from that of a sysctl or of a security module.
* **steps**: the namespaces and mounts of a cage, in the order in which `sandbox.inside.cage` makes them. Each
  needs the ones before, so the first that is refused ends them.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator

from sandbox.linux import calls, mounts, namespaces, privileges, subordinate

_Attempt = tuple[str, Callable[[], object]]

_BAD_FLAGS = 0x7FFFFFFF
_LONGEST_HOST_NAME = 64
_ROOT = "/tmp"


def try_as_root(outside_ids: str, ids: str) -> None:
    """Try what root does, print what came of it, exit.

    Args:
        outside_ids: the first of the user ids that root gives to a cage.
        ids: how many those are.
    """
    _try_calls()
    _in_child(lambda: _climb(_steps_of_mounting()))
    _try_mapped_user_namespace(int(outside_ids), int(ids))
    os._exit(0)


def try_as_user() -> None:
    """Try what an ordinary user does, print what came of it, exit."""
    _try_calls()
    _in_child(lambda: _climb(_steps_as_user()))
    os._exit(0)


def try_subordinate(first: str, count: str, newuidmap: str, newgidmap: str) -> None:
    """Try what an ordinary user needs besides to give sessions ids of their own, print, exit.

    Args:
        first: the first of these ids.
        count: how many they are.
        newuidmap: path of what maps user ids.
        newgidmap: path of what maps group ids.
    """
    _climb(_steps_with_subordinate_ids(int(first), int(count), (newuidmap, newgidmap)))
    os._exit(0)


def _try_calls() -> None:
    for name, attempt in _calls():
        _note(f"call:{name}", attempt)


def _note(name: str, attempt: Callable[[], object]) -> bool:
    """Make an attempt and print what came of it; return whether it succeeded."""
    error = 0
    try:
        attempt()
    except OSError as caught:
        error = caught.errno or -1
    os.write(1, f"{name} {error}\n".encode())
    return not error


def _in_child(body: Callable[[], object]) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            body()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def _climb(steps: Iterator[_Attempt]) -> None:
    """Take one step after the other, until one is refused."""
    for name, attempt in steps:
        if not _note(f"step:{name}", attempt):
            return


def _calls() -> list[_Attempt]:
    """Return the calls that need no right at all to get the kernel's own answer."""
    null = ctypes.c_void_p()

    def raw(number: int, *arguments: object) -> Callable[[], object]:
        return lambda: calls.call(number, *arguments, what="")

    return [
        ("unshare", lambda: namespaces.unshare(0)),
        ("clone3", raw(calls.CLONE3, null, 0)),
        ("mount", lambda: calls.check(calls.libc.mount(null, null, null, ctypes.c_ulong(0), null), "")),
        ("chroot", lambda: calls.check(calls.libc.chroot(null), "")),
        ("umount2", lambda: calls.check(calls.libc.umount2(null, _BAD_FLAGS), "")),
        ("open_tree", raw(calls.OPEN_TREE, -1, null, _BAD_FLAGS)),
        ("mount_setattr", raw(calls.MOUNT_SETATTR, -1, null, _BAD_FLAGS, null, 0)),
        ("seccomp", raw(calls.number("seccomp"), 1, 0, null)),
        ("capset", raw(calls.number("capset"), null, null)),
        ("openat2", raw(calls.OPENAT2, -1, null, null, 0)),
        ("close_range", raw(calls.CLOSE_RANGE, 1, 0, 0)),
        ("pidfd_send_signal", raw(calls.PIDFD_SEND_SIGNAL, -1, 0, null, 0)),
    ]


def _steps_as_user() -> Iterator[_Attempt]:
    user, group = os.geteuid(), os.getegid()
    yield "user namespace", lambda: namespaces.unshare(namespaces.NEWUSER)
    yield "user ids", lambda: _map_own_ids(user, group)
    yield from _steps_of_mounting()
    yield "user namespace of a session", lambda: namespaces.unshare(namespaces.NEWUSER)


def _steps_with_subordinate_ids(first: int, count: int, mappers: tuple[str, str]) -> Iterator[_Attempt]:
    yield "subordinate ids", lambda: subordinate.unshare(namespaces.NEWNS, first, count, mappers)
    yield "mounts", _mount_root
    yield "mapped mounts", _map_mount


def _map_mount() -> None:
    view = namespaces.open_mapped(os.open("/proc", os.O_RDONLY | os.O_DIRECTORY), 1, 0)
    mounts.map_ids(mounts.clone_tree(_ROOT), view)


def _map_own_ids(user: int, group: int) -> None:
    for name, content in (("setgroups", "deny"), ("gid_map", f"0 {group} 1"), ("uid_map", f"0 {user} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(content)


def _steps_of_mounting() -> Iterator[_Attempt]:
    null = ctypes.c_void_p()
    yield "mount namespace", lambda: namespaces.unshare(namespaces.NEWNS)
    yield "mounts", _mount_root
    # These three the kernel refuses whoever has no rights here, so a filter's refusal shows only now.
    _note("call:pivot_root", lambda: calls.call(calls.number("pivot_root"), null, null, what=""))
    _note("call:move_mount", lambda: calls.call(calls.MOVE_MOUNT, -1, null, -1, null, _BAD_FLAGS, what=""))
    _in_child(_try_host_name)
    yield "trees", _attach_tree
    _in_child(_try_overlay)
    yield "PID namespace", lambda: namespaces.unshare(namespaces.NEWPID)
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        os._exit(0)
    yield "proc", lambda: mounts.mount("proc", f"{_ROOT}/proc", "proc")
    yield "network namespace", lambda: namespaces.unshare(namespaces.NEWNET)
    yield "IPC namespace", lambda: namespaces.unshare(namespaces.NEWIPC)
    yield "UTS namespace", lambda: namespaces.unshare(namespaces.NEWUTS)
    yield "cgroup namespace", lambda: namespaces.unshare(namespaces.NEWCGROUP)


def _mount_root() -> None:
    mounts.make_private()
    mounts.mount("creche-probe", _ROOT, "tmpfs")
    os.mkdir(f"{_ROOT}/usr")
    os.mkdir(f"{_ROOT}/proc")
    os.mkdir(f"{_ROOT}/empty")
    os.mkdir(f"{_ROOT}/own")


def _attach_tree() -> None:
    tree = mounts.clone_tree("/usr")
    mounts.restrict_tree(tree, mounts.ATTR_RDONLY)
    mounts.attach_tree(tree, f"{_ROOT}/usr")


def _try_host_name() -> None:
    """Ask for a host name that is too long, in a namespace in which there is a right to give one."""
    namespaces.unshare(namespaces.NEWUTS)
    too_long = ctypes.c_size_t(_LONGEST_HOST_NAME + 1)
    _note("call:sethostname", lambda: calls.check(calls.libc.sethostname(None, too_long), ""))


def _try_overlay() -> None:
    """Show the tree through an overlay of a user namespace, as a session does; can be done without."""
    namespaces.unshare(namespaces.NEWUSER | namespaces.NEWNS)
    layers = f"lowerdir={_ROOT}/usr:{_ROOT}/empty"
    _note("step:overlay", lambda: mounts.mount("none", f"{_ROOT}/own", "overlay", mounts.RDONLY, layers))


def _try_mapped_user_namespace(outside_ids: int, ids: int) -> None:
    """Make a user namespace whose ids are mapped from outside, as root does it."""
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    made_read, made_write = os.pipe()
    mapped_read, mapped_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(mapped_write)
        if _note("step:user namespace", lambda: namespaces.unshare(namespaces.NEWUSER)):
            os.write(made_write, b"m")
            if os.read(mapped_read, 1):
                privileges.become(0, 0)
                _note("step:user namespace of a session", lambda: namespaces.unshare(namespaces.NEWUSER))
        os._exit(0)
    os.close(made_write)
    if os.read(made_read, 1) and _note(
        "step:user ids", lambda: namespaces.write_maps(proc, str(pid), 0, outside_ids, ids)
    ):
        os.write(mapped_write, b"m")
    os.close(mapped_write)
    os.waitpid(pid, 0)
