"""The seccomp policy: which system calls a session may make, as one table.

An allowlist. What is not named answers ENOSYS, as an older kernel would, so programs take their fallback and
the next io_uring is shut out before anybody has heard of it. What is known to be dangerous and is often
probed for answers EPERM, which says "forbidden" rather than "absent". Foreign architectures (32-bit calls on
x86-64, x32) kill the process: no honest program here makes one, and their numbers would mean other calls.

Rules look at numbers and at integer arguments only, never at what a pointer points to: memory can change
between the check and the use. `clone3` hides its flags behind a pointer, so it is absent; the C library then
uses `clone`, whose flags can be read.

The policy is compiled by libseccomp, once per set of options, and travels to the sessions as a finished
program.
"""

from __future__ import annotations

import errno
import functools
import socket
import tempfile
from typing import Any

from sandbox.errors import Unsupported

ALLOWED = frozenset(
    """
    accept accept4 access alarm arch_prctl bind brk capget chdir chmod chown clock_getres
    clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait eventfd
    eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fchdir fchmod
    fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr
    fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake
    futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid geteuid
    getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom
    getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid
    getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioprio_get ioprio_set
    kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link
    linkat listen listxattr llistxattr lremovexattr lseek lsetxattr lstat madvise membarrier mincore
    mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect mremap msync munlock munlockall
    munmap nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2
    poll ppoll pread64 preadv preadv2 prlimit64 pselect6 pwrite64 pwritev pwritev2 read readahead
    readlink readlinkat readv recvfrom recvmmsg recvmsg removexattr rename renameat renameat2
    restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
    rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max
    sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
    sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler
    sched_yield select sendfile sendmmsg sendmsg sendto set_robust_list set_thread_area
    set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid
    setresgid setresuid setreuid setrlimit setsid setsockopt setuid setxattr shutdown sigaltstack
    signalfd signalfd4 socketpair stat statfs statx symlink symlinkat sync sync_file_range syncfs
    sysinfo tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime
    timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat
    utime utimensat utimes vfork wait4 waitid waitpid write writev
    """.split()
)
"""Allowed with any arguments. Names that an architecture lacks are skipped there."""

NEEDS_MEMORY_CGROUP = frozenset({"memfd_create"})
"""Memory that belongs to no process and no mount: only a control group can count it."""

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
    0x80086601, 0x40086602,  # file attribute flags
    0xC020660B,  # FIEMAP
)  # fmt: skip
_IOCTL_LOOPBACK = tuple(range(0x8910, 0x8946))
"""SIOCGIFNAME and its kin, for what lists the interfaces of its own network namespace."""

# The kernel ignores the upper half of these arguments, so the rule must too (CVE-2019-10063).
_LOW_WORD = 0xFFFFFFFF
_ANY_NAMESPACE = 0x7E020080  # NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWTIME
_PERSONALITY_QUERY = 0xFFFFFFFF


def _libseccomp() -> Any:
    try:
        # It loads libseccomp.so when it is imported, and must fail as an error of ours.
        import pyseccomp  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]
    except (ImportError, OSError, RuntimeError) as error:
        msg = (
            f"libseccomp could not be loaded ({error}); the tier needs it: "
            "install the package libseccomp2 (Debian, Ubuntu) or libseccomp (Fedora, Alpine, Arch)"
        )
        raise Unsupported(msg) from None
    return pyseccomp


@functools.cache
def compile_policy(*, loopback: bool, memory_cgroup: bool) -> bytes:
    """Return the policy as a BPF program for this machine's architecture.

    Args:
        loopback: allow IPv4 and IPv6 sockets, for a session with a network namespace of its own.
        memory_cgroup: whether a control group counts the session's memory.

    Raises:
        Unsupported: libseccomp is not there.
    """
    lib = _libseccomp()
    policy = lib.SyscallFilter(defaction=lib.ERRNO(errno.ENOSYS))
    policy.set_attr(lib.Attr.CTL_NNP, 0)  # set by the far side itself, before it loads this
    policy.set_attr(lib.Attr.ACT_BADARCH, lib.KILL_PROCESS)
    # A binary tree instead of a list: when a filter is loaded the kernel runs it once for every call there
    # is.
    policy.set_attr(lib.Attr.CTL_OPTIMIZE, 2)

    def add(action: object, name: str, *conditions: object) -> None:
        if lib.resolve_syscall(lib.Arch.NATIVE, name) >= 0:
            policy.add_rule(action, name, *conditions)

    def equals(index: int, value: int) -> object:
        return lib.Arg(index, lib.MASKED_EQ, _LOW_WORD, value)

    for name in ALLOWED | (NEEDS_MEMORY_CGROUP if memory_cgroup else frozenset[str]()):
        add(lib.ALLOW, name)
    for name in FORBIDDEN:
        add(lib.ERRNO(errno.EPERM), name)
    for option in _PRCTL:
        add(lib.ALLOW, "prctl", equals(0, option))
    for request in _IOCTL + (_IOCTL_LOOPBACK if loopback else ()):
        add(lib.ALLOW, "ioctl", equals(1, request))
    add(lib.ALLOW, "clone", lib.Arg(0, lib.MASKED_EQ, _ANY_NAMESPACE, 0))
    add(lib.ALLOW, "personality", equals(0, _PERSONALITY_QUERY))

    families = {int(socket.AF_UNIX)}
    if loopback:
        families |= {int(socket.AF_INET), int(socket.AF_INET6)}
    highest = max(families)
    for family in range(highest + 1):
        action = lib.ALLOW if family in families else lib.ERRNO(errno.EAFNOSUPPORT)
        add(action, "socket", lib.Arg(0, lib.EQ, family))
    add(lib.ERRNO(errno.EAFNOSUPPORT), "socket", lib.Arg(0, lib.GT, highest))

    with tempfile.TemporaryFile() as file:
        policy.export_bpf(file)
        file.seek(0)
        return file.read()
