"""The seccomp policy: which system calls a session may make, as one table.

An allowlist. What is not named answers ENOSYS, as an older kernel would, so programs take their fallback and
the next io_uring is shut out before anybody has heard of it. What is known to be dangerous and is often
probed for answers EPERM, which says "forbidden" rather than "absent". Foreign architectures (32-bit calls on
x86-64, x32) kill the process: no honest program here makes one, and their numbers would mean other calls.

Rules look at numbers and at integer arguments only, never at what a pointer points to: memory can change
between the check and the use. `clone3` hides its flags behind a pointer, so it is absent; the C library then
uses `clone`, whose flags can be read.

`sandbox.syscall_filter` makes a program of it.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from typing import Literal

ALLOWED = frozenset(
    """
    accept accept4 access alarm arch_prctl bind brk capget chdir chmod chown clock_getres
    clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
    eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fallocate
    fchdir fchmod fchmodat fchmodat2 fchown fchownat fdatasync fgetxattr flistxattr fork
    fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait
    futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents
    getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid
    getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname
    getsockopt gettid gettimeofday getuid getxattr ioprio_get kill landlock_add_rule
    landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat listen listxattr
    llistxattr lremovexattr lseek lsetxattr lstat madvise membarrier mincore mkdir mkdirat mknod
    mknodat mlock mlock2 mlockall mprotect mremap msync munlock munlockall munmap nanosleep
    newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 poll ppoll
    pread64 preadv pselect6 pwrite64 pwritev pwritev2 read readahead readlink readlinkat
    readv recvfrom recvmmsg recvmsg removexattr rename renameat renameat2 restart_syscall rmdir
    rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
    rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min
    sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
    sched_yield select sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address
    setfsgid setfsuid setgid setgroups setitimer setpgid setregid setresgid setresuid setreuid
    setsid setuid setxattr shutdown sigaltstack signalfd signalfd4 stat statfs statx symlink
    symlinkat sync_file_range sysinfo tgkill time timer_create timer_delete timer_getoverrun
    timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill
    truncate umask uname unlink unlinkat utime utimensat utimes vfork wait4 waitid waitpid write
    writev
    """.split()
)
"""Allowed with any arguments. Names that an architecture lacks are skipped there.

Some harmless-looking calls are absent. `inotify` listens to inodes, and those of devices and of the kernel's
eventfds are shared with the host. `sendfile`, `splice` and `tee` put pages of shared files into pipes, which
is how pages that nobody may write have been written. Programs have fallbacks for all of them.
"""

POINTLESS = frozenset({"sync", "syncfs", "fadvise64"})
"""Answer success and do nothing: what is writable is memory, the host's disks are not to be flushed, and what
advice says of a shared file, it says to all: DONTNEED takes its pages from everybody."""

NEEDS_MEMORY_CGROUP = frozenset({"memfd_create"})
"""Memory that belongs to no process and no mount: only a control group can count it. So can only it the pages
of a shared anonymous mapping, which stay when they are given up, or unmapped but for one."""

OWN_PROCESS = {
    **dict.fromkeys("sched_setaffinity sched_setattr sched_setparam sched_setscheduler".split()),
    "setpriority": 0,  # PRIO_PROCESS; the others are groups and users
    "ioprio_set": 1,  # IOPRIO_WHO_PROCESS
}
"""Allowed for the calling process, named as 0; EPERM for any other. Init has the same user id as what it
guards, so the kernel would let everybody inside lower its share of the processor, and its limits:
`prlimit64` has rules of the same kind. The value is what the first argument must be, where the second names
the process."""

FORBIDDEN = frozenset(
    """
    acct add_key adjtimex bpf chroot clock_adjtime clock_settime delete_module fanotify_init
    fanotify_mark finit_module fsconfig fsmount fsopen fspick get_kernel_syms init_module ioperm
    iopl kcmp kexec_file_load kexec_load lookup_dcookie mount mount_setattr move_mount mq_getsetattr
    mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd
    name_to_handle_at nfsservctl open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root
    process_madvise process_vm_readv process_vm_writev ptrace quotactl quotactl_fd reboot
    request_key seccomp semctl semget semop semtimedop setdomainname sethostname setns settimeofday
    shmat shmctl shmdt shmget swapoff swapon syslog umount umount2 unshare userfaultfd ustat vhangup
    vmsplice
    """.split()
)
"""Answer EPERM, whatever the arguments."""

FILE_ATTRIBUTES = frozenset(
    """
    chmod chown fchmod fchmodat fchmodat2 fchown fchownat fremovexattr fsetxattr futimesat lchown
    lremovexattr lsetxattr removexattr setxattr utime utimensat utimes
    """.split()
)
"""Answer EPERM where sessions are the server's own user and see the host's files: Landlock does not know of
them, and they reach whatever that user owns."""

NEEDS_OWN_NETWORK = frozenset({"accept", "accept4", "bind", "connect", "listen"})
"""Answer EPERM where sessions have no network namespace: sockets with a name would meet the host's."""

_PRCTL = (
    1, 2,  # parent-death signal: a session's end does not depend on it
    3, 4,  # dumpable
    15, 16,  # name
    21, 23,  # read the seccomp mode, read the bounding set
    29, 30,  # timer slack
    36, 37,  # child subreaper: init reaps whatever is left
    38, 39,  # no_new_privs
    40,  # thread id address
    41, 42,  # transparent huge pages
    0x53564D41,  # names of anonymous memory: the C library's allocator sets them
)  # fmt: skip

_IOCTL = (
    0x5401, 0x5402, 0x5403, 0x5404,  # TCGETS, TCSETS, TCSETSW, TCSETSF: isatty and friends
    0x540F, 0x5410,  # foreground process group
    0x5413, 0x5414,  # window size
    0x541B, 0x5421, 0x5450, 0x5451, 0x5452,  # FIONREAD, FIONBIO, FIONCLEX, FIOCLEX, FIOASYNC
    0x40049409, 0x4020940D,  # FICLONE, FICLONERANGE: what cp tries first
    0x80086601,  # reads file attribute flags
    0xC020660B,  # FIEMAP
)  # fmt: skip
_IOCTL_SET_ATTRIBUTES = 0x40086602
_FCNTL = (
    *range(5), *range(8, 12),  # descriptors, flags, and who gets the signal of asynchronous input
    15, 16,  # that signal's receiver, once more
    1025,  # whether there is a lease. Not 1024, to take one, nor 1026, to watch a folder: devices are shared
    1030, 1031, 1032, 1033, 1034,  # close-on-exec copies, sizes of pipes, seals
)  # fmt: skip

_FCNTL_LOCKS = (5, 6, 7, 36, 37, 38)
"""Record locks, of a process and of an open file: ask for one, take one, wait for one."""

_SOCKET_OPTIONS = (
    *range(14),  # debug, reuse, type, error, routing, buffers, keep-alive, out of band, priority, linger
    # Among them 0, which is none: libseccomp 2.5 lets it pass on aarch64, named or not.
    15, 16, 18, 19, 20, 21,  # port reuse, credentials, low-water marks, timeouts
    29, 34, 35,  # time stamps. Not 26 and 50 to 52: they bring programs for the kernel to run
)  # fmt: skip
_SOL_SOCKET = 1
_SOCKET_KIND = 0xF  # the rest of the word are flags
_LOOPBACK_OPTIONS = {
    0: (0, 1, 2, 8, 10, 11, 12, 13, 24),  # IP: service, hops, addresses, errors; not multicast, not options
    6: (*range(11), 12, 18, 25),  # TCP: delay, keep-alive, retries; not ULP, repair, MD5, congestion
    41: (0, 16, 23, 25, 26, 49, 51, 66, 67),  # IPv6: the same; not ADDRFORM, not multicast
}
"""Level to options that ordinary servers and clients set, and to 0, as above. The rest is the kernel's least
trodden ground: TLS within TCP, encapsulation, source filters, packet tables, all of UDP's."""

_HUGE_PAGES = {"mmap": (3, 0x40000), "memfd_create": (1, 0x4)}
"""Name to the place of the flags, and the flag for huge pages: they are the host's reserve, in no group's
count."""

_RWF_NOWAIT = 0x8
"""Fails unless a page is in memory already: whether another session has read it could be told by that."""

_MAP_SHARED, _MAP_ANONYMOUS = 0x01, 0x20

_RLIMIT_CORE = 4
"""Stays at the 1 that init set. Many programs ask for 0, with the best of intentions, and are told that it is
done; but at 0 the kernel would still feed a crash to the program that the host's core_pattern names."""

_IOCTL_LOOPBACK = tuple(range(0x8910, 0x8946))
"""SIOCGIFNAME and its kin, for what lists the interfaces of its own network namespace."""

# The kernel ignores the upper half of these arguments, so the rule must too (CVE-2019-10063).
_LOW_WORD = 0xFFFFFFFF
_ANY_NAMESPACE = 0x7E020080  # NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWTIME
_PERSONALITY_QUERY = 0xFFFFFFFF


Locks = Literal["own", "shared", "refused"]
"""What locks are allowed. A file that is open for reading is enough to lock it.

* ``own``: of records and of whole files. Nobody else has a session's inodes (`sandbox.inside.root`).
* ``shared``: of records only. Sessions see the host's inodes, and others can meet their locks. A lock of a
  whole file would stop a job of the host's that asks for one.
* ``refused``: none. Sessions should have inodes of their own, and cannot here.
"""

LOCKS: tuple[Locks, ...] = ("own", "shared", "refused")

Condition = tuple[int, str, *tuple[int, ...]]
"""Place of an argument, libseccomp's name of the comparison, and with what."""

Rule = tuple[int | None, str, *tuple[Condition, ...]]
"""None to allow or else the errno, the call's name, and the conditions, all of which must hold."""


def _low_word(place: int, value: int) -> Condition:
    return (place, "MASKED_EQ", _LOW_WORD, value)


def rules(
    *, loopback: bool, memory_cgroup: bool, own_network: bool, own_files: bool, locks: Locks
) -> Iterator[Rule]:
    """Yield the whole policy; for what it depends on see `sandbox.syscall_filter.compile_policy`."""
    withheld = frozenset[str]()
    if not own_network:
        withheld |= NEEDS_OWN_NETWORK
    if not own_files:
        withheld |= FILE_ATTRIBUTES
    yield from ((None, name) for name in ALLOWED - withheld)
    yield from ((errno.EPERM, name) for name in withheld)
    yield from ((errno.EPERM, name) for name in FORBIDDEN)
    yield from ((0, name) for name in POINTLESS)
    for name, (place, flag) in _HUGE_PAGES.items():
        if memory_cgroup:
            yield None, name, (place, "MASKED_EQ", flag, 0)
        elif name not in NEEDS_MEMORY_CGROUP:
            for kind in (0, _MAP_SHARED, _MAP_ANONYMOUS):
                yield None, name, (place, "MASKED_EQ", flag | _MAP_SHARED | _MAP_ANONYMOUS, kind)
    yield from ((None, "prctl", _low_word(0, option)) for option in _PRCTL)
    yield from ((None, "fcntl", _low_word(1, command)) for command in _FCNTL)
    yield from _lock_rules(locks)
    for request in _IOCTL + (_IOCTL_LOOPBACK if loopback else ()):
        yield None, "ioctl", _low_word(1, request)
    yield None if own_files else errno.EPERM, "ioctl", _low_word(1, _IOCTL_SET_ATTRIBUTES)
    yield None, "preadv2", (5, "MASKED_EQ", _RWF_NOWAIT, 0)
    yield errno.EOPNOTSUPP, "preadv2", (5, "MASKED_EQ", _RWF_NOWAIT, _RWF_NOWAIT)  # as some file systems say
    yield None, "clone", (0, "MASKED_EQ", _ANY_NAMESPACE, 0)
    yield None, "personality", _low_word(0, _PERSONALITY_QUERY)
    yield from _limit_rules()
    for name, which in OWN_PROCESS.items():
        if which is None:
            yield None, name, (0, "EQ", 0)
            yield errno.EPERM, name, (0, "NE", 0)
        else:
            yield None, name, (0, "EQ", which), (1, "EQ", 0)
            yield errno.EPERM, name, (0, "EQ", which), (1, "NE", 0)
            yield errno.EPERM, name, (0, "NE", which)
    yield from _socket_rules(loopback=loopback) if own_network else _pair_rules()


def _lock_rules(locks: Locks) -> Iterator[Rule]:
    for command in _FCNTL_LOCKS:
        yield errno.EPERM if locks == "refused" else None, "fcntl", _low_word(1, command)
    if locks == "own":
        yield None, "flock"


def _limit_rules() -> Iterator[Rule]:
    yield errno.EPERM, "prlimit64", (0, "NE", 0)
    for limit in range(16):
        if limit != _RLIMIT_CORE:
            yield None, "setrlimit", (0, "EQ", limit)
            yield None, "prlimit64", (0, "EQ", 0), (1, "EQ", limit)
    yield 0, "setrlimit", (0, "EQ", _RLIMIT_CORE)
    yield None, "prlimit64", (0, "EQ", 0), (1, "EQ", _RLIMIT_CORE), (2, "EQ", 0)
    yield 0, "prlimit64", (0, "EQ", 0), (1, "EQ", _RLIMIT_CORE), (2, "NE", 0)


def _pair_rules() -> Iterator[Rule]:
    """Allow pairs only, of the kinds that stay with one another: a datagram may be sent to anybody."""
    yield errno.EAFNOSUPPORT, "socket"
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        yield None, "socketpair", (0, "EQ", int(socket.AF_UNIX)), (1, "MASKED_EQ", _SOCKET_KIND, int(kind))
    for option in _SOCKET_OPTIONS:
        yield None, "setsockopt", (1, "EQ", _SOL_SOCKET), (2, "EQ", option)


def _socket_rules(*, loopback: bool) -> Iterator[Rule]:
    families = {int(socket.AF_UNIX)}
    if loopback:
        families |= {int(socket.AF_INET), int(socket.AF_INET6)}
    highest = max(families)
    # The latter makes sockets of any family before it refuses to join them.
    for name in ("socket", "socketpair"):
        for family in range(highest + 1):
            yield None if family in families else errno.EAFNOSUPPORT, name, (0, "EQ", family)
        yield errno.EAFNOSUPPORT, name, (0, "GT", highest)
    for option in _SOCKET_OPTIONS:
        yield None, "setsockopt", (1, "EQ", _SOL_SOCKET), (2, "EQ", option)
    for level, options in _LOOPBACK_OPTIONS.items() if loopback else ():
        for option in options:
            yield None, "setsockopt", (1, "EQ", level), (2, "EQ", option)
