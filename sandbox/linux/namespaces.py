"""Making namespaces: unshare, a clone3 that Python survives, and id maps.

`fork_into` is `os.fork` with namespaces. CPython's own fork hooks are called around the raw call, and the
child's thread id is stored where the C library keeps it (PR_GET_TID_ADDRESS tells where), because glibc's
`fork` was bypassed.
"""

from __future__ import annotations

import ctypes
import os

from sandbox.linux import calls

NEWNS = 0x00020000
NEWCGROUP = 0x02000000
NEWUTS = 0x04000000
NEWIPC = 0x08000000
NEWUSER = 0x10000000
NEWPID = 0x20000000
NEWNET = 0x40000000

_CLONE_PIDFD = 0x00001000
_CLONE_INTO_CGROUP = 0x200000000
_CLONE_CHILD_SETTID = 0x01000000
_CLONE_CHILD_CLEARTID = 0x00200000
_SIGCHLD = 17
_PR_GET_TID_ADDRESS = 40


class _CloneArguments(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "flags", "pidfd", "child_tid", "parent_tid", "exit_signal",
            "stack", "stack_size", "tls", "set_tid", "set_tid_size", "cgroup",
        )
    ]  # fmt: skip


def unshare(flags: int) -> None:
    """`unshare(2)`."""
    calls.check(calls.libc.unshare(ctypes.c_int(flags)), "unshare")


def _thread_id_address() -> int:
    """Return where glibc keeps this thread's id; 0 where the kernel does not tell (no CHECKPOINT_RESTORE)."""
    address = ctypes.c_void_p()
    if calls.libc.prctl(_PR_GET_TID_ADDRESS, ctypes.byref(address), 0, 0, 0) != 0:
        return 0
    return address.value or 0


def fork_into(flags: int, group: int = -1) -> tuple[int, int]:
    """Fork this single-threaded process into new namespaces.

    Args:
        flags: `NEW*` bits.
        group: descriptor of the folder of a version 2 control group, to which the child then belongs from the
            start; -1 for this process's own.

    Returns:
        In the parent the child's pid and a pidfd of it (close-on-exec, to be closed by the caller); ``(0,
        -1)`` in the child.

    Raises:
        OSError: no child was made.
    """
    pidfd = ctypes.c_int(-1)
    arguments = _CloneArguments(
        flags=flags | _CLONE_PIDFD, pidfd=ctypes.addressof(pidfd), exit_signal=_SIGCHLD
    )
    if group >= 0:
        arguments.flags |= _CLONE_INTO_CGROUP
        arguments.cgroup = group
    thread_id = _thread_id_address()
    if thread_id:
        arguments.flags |= _CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID
        arguments.child_tid = thread_id
    python = ctypes.pythonapi
    python.PyOS_BeforeFork()
    pid = int(
        calls.libc.syscall(
            ctypes.c_long(calls.CLONE3),
            ctypes.byref(arguments),
            ctypes.c_size_t(ctypes.sizeof(arguments)),
        )
    )
    if pid == 0:
        python.PyOS_AfterFork_Child()
        return 0, -1
    error = ctypes.get_errno()
    python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(error, f"clone3: {os.strerror(error)}")
    return pid, pidfd.value


def write_maps(proc: int, pid: str, inside: int, outside: int, count: int) -> None:
    """Map `count` user and group ids of a new user namespace.

    Args:
        proc: descriptor of a /proc in which `pid` can be found.
        pid: a process in the new namespace, ``"self"`` included.
        inside: first id in the new namespace.
        outside: the id that it stands for in the writer's namespace.
        count: how many follow one another.
    """
    line = f"{inside} {outside} {count}\n"
    # A writer without CAP_SETGID over the outside must give up setgroups first; for any other it is as good.
    for name, content in (("setgroups", "deny"), ("gid_map", line), ("uid_map", line)):
        file = os.open(f"{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
        try:
            os.write(file, content.encode())
        finally:
            os.close(file)


def open_mapped(proc: int, inside: int, outside: int) -> int:
    """Return a descriptor of a new user namespace that nobody is in, with one user and group id mapped.

    Args:
        proc: descriptor of a /proc.
        inside: the id in it.
        outside: what that stands for in this process's namespace.
    """
    mapped_read, mapped_write = os.pipe()
    pid, pidfd = fork_into(NEWUSER)
    if pid == 0:
        os.close(mapped_write)
        os.read(mapped_read, 1)
        os._exit(0)
    try:
        write_maps(proc, str(pid), inside, outside, 1)
        return os.open(f"{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    finally:
        for descriptor in (mapped_read, mapped_write, pidfd):
            os.close(descriptor)
        os.waitpid(pid, 0)
