"""The policy as a session meets it: each call is made for real and its errno looked at."""

from __future__ import annotations

import builtins
import errno
import platform
from typing import TYPE_CHECKING

import pyseccomp
import pytest

from sandbox import syscall_filter
from sandbox.errors import Unsupported
from sandbox.observation import Outcome
from sandbox.syscall_filter import compile_policy
from sandbox.syscall_policy import ALLOWED, FORBIDDEN, NEEDS_MEMORY_CGROUP, Locks
from tests.attacks.kernel import AUDIT_ARCH, Program
from tests.sandbox.handlers import LOOPBACK, SMALL, run, value

if TYPE_CHECKING:
    from sandbox.box import Box
    from sandbox.launcher import Launcher

on_x86_64 = pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers and codes of x86-64")

PROBE = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def errno_of(number, *arguments):
    ctypes.set_errno(0)
    outcome = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    return ctypes.get_errno() if outcome < 0 else 0
"""

VERDICTS = {  # name, number and arguments on x86-64, errno
    "io_uring_setup": ((425, 1, 0), errno.ENOSYS),
    "clone3": ((435, 0, 0), errno.ENOSYS),
    "a call that no kernel has": ((4999,), errno.ENOSYS),
    "unshare(NEWUSER)": ((272, 0x10000000), errno.EPERM),
    "setns": ((308, 0, 0), errno.EPERM),
    "clone(NEWUSER)": ((56, 0x10000000 | 17, 0, 0, 0, 0), errno.ENOSYS),
    "clone(NEWNS)": ((56, 0x00020000 | 17, 0, 0, 0, 0), errno.ENOSYS),
    "mount": ((165, 0, 0, 0, 0, 0), errno.EPERM),
    "umount2": ((166, 0, 0), errno.EPERM),
    "pivot_root": ((155, 0, 0), errno.EPERM),
    "open_tree": ((428, 0, 0, 0), errno.EPERM),
    "ptrace": ((101, 0, 0, 0, 0), errno.EPERM),
    "process_vm_writev": ((311, 1, 0, 0, 0, 0, 0), errno.EPERM),
    "pidfd_getfd": ((438, 0, 0, 0), errno.EPERM),
    "bpf": ((321, 0, 0, 0), errno.EPERM),
    "perf_event_open": ((298, 0, 0, 0, 0, 0), errno.EPERM),
    "userfaultfd": ((323, 0), errno.EPERM),
    "keyctl": ((250, 0, 0), errno.ENOSYS),
    "add_key": ((248, 0, 0, 0, 0, 0), errno.EPERM),
    "kexec_load": ((246, 0, 0, 0, 0), errno.EPERM),
    "init_module": ((175, 0, 0, 0), errno.EPERM),
    "open_by_handle_at": ((304, 0, 0, 0), errno.EPERM),
    "splice": ((275, 0, 0, 0, 0, 1, 0), errno.ENOSYS),
    "vmsplice": ((278, 0, 0, 0, 0), errno.EPERM),
    "sethostname": ((170, 0, 0), errno.EPERM),
    "clock_settime": ((227, 0, 0), errno.EPERM),
    "shmget": ((29, 0, 4096, 0o1600), errno.EPERM),
    "mq_open": ((240, 0, 0, 0, 0), errno.EPERM),
    "chroot": ((161, 0), errno.EPERM),
    "seccomp": ((317, 0, 0, 0), errno.EPERM),
    "personality(READ_IMPLIES_EXEC)": ((135, 0x0400000), errno.ENOSYS),
    "personality(query)": ((135, 0xFFFFFFFF), 0),
    "prctl(PR_SET_SECCOMP)": ((157, 22, 1, 0, 0, 0), errno.ENOSYS),
    "prctl(PR_CAPBSET_DROP)": ((157, 24, 0, 0, 0, 0), errno.ENOSYS),
    "ioctl(TIOCSTI)": ((16, 0, 0x5412, 0), errno.ENOSYS),
    "ioctl(TIOCSTI) with high bits": ((16, 0, 0x1_0000_5412, 0), errno.ENOSYS),
    "ioctl(TIOCLINUX)": ((16, 0, 0x541C, 0), errno.ENOSYS),
    "socket(AF_INET)": ((41, 2, 1, 0), errno.EAFNOSUPPORT),
    "socket(AF_INET6)": ((41, 10, 1, 0), errno.EAFNOSUPPORT),
    "socket(AF_NETLINK)": ((41, 16, 3, 0), errno.EAFNOSUPPORT),
    "socket(AF_PACKET)": ((41, 17, 3, 0), errno.EAFNOSUPPORT),
    "socket(AF_ALG)": ((41, 38, 5, 0), errno.EAFNOSUPPORT),
    "socket(AF_VSOCK)": ((41, 40, 1, 0), errno.EAFNOSUPPORT),
    "socket(AF_BLUETOOTH)": ((41, 31, 3, 0), errno.EAFNOSUPPORT),
    "socket(AF_ALG) with high bits": ((41, 0x1_0000_0026, 5, 0), errno.EAFNOSUPPORT),
    "socket(AF_UNSPEC)": ((41, 0, 1, 0), errno.EAFNOSUPPORT),
}


@on_x86_64
async def test_forbidden_calls_answer_as_the_policy_says(box: Box) -> None:
    await run(box, PROBE)
    found = {
        name: await value(box, f"errno_of{(*call, 0)}" if len(call) == 1 else f"errno_of{call}")
        for name, (call, _) in VERDICTS.items()
    }
    assert {name: wanted for name, (_, wanted) in VERDICTS.items()} == found


@on_x86_64
async def test_loopback_adds_the_internet_families_and_no_others(launcher: Launcher) -> None:
    async with launcher.open_sandbox(LOOPBACK, SMALL) as box:
        await run(box, PROBE)
        found = [await value(box, f"errno_of(41, {family}, 3 if {family} > 10 else 1, 0)")
                 for family in (1, 2, 10, 16, 17, 38, 40)]  # fmt: skip
    refused = errno.EAFNOSUPPORT
    assert [0, 0, 0, refused, refused, refused, refused] == found


async def test_a_server_on_loopback_sets_the_usual_options_and_no_kernel_tls(launcher: Launcher) -> None:
    code = """
import asyncio, errno, socket
async def echo(reader, writer):
    writer.write(await reader.read(9)); writer.close()
async def talk(host):
    async with await asyncio.start_server(echo, host, 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        writer.write(b'hello'); writer.write_eof()
        return (await reader.read()).decode()
result = [asyncio.run(talk('127.0.0.1')), asyncio.run(talk('::1'))]
for level, option, text in ((6, 31, b'tls'), (17, 100, b'1234'), (0, 41, b'1' * 16), (41, 1, b'1234')):
    with socket.socket(socket.AF_INET6 if level == 41 else socket.AF_INET) as one:
        try: one.setsockopt(level, option, text)
        except OSError as error: result.append(errno.errorcode[error.errno])
"""
    async with launcher.open_sandbox(LOOPBACK, SMALL) as box:
        assert ["hello", "hello", *["ENOSYS"] * 4] == await value(box, code)


@on_x86_64
@pytest.mark.parametrize(
    "code",
    [
        # int 0x80 with eax = 20 (getpid of the 32-bit table), then ret
        b"\xb8\x14\x00\x00\x00\xcd\x80\xc3",
        # syscall with the x32 bit set in eax (getpid), then ret
        b"\xb8\x27\x00\x00\x40\x0f\x05\xc3",
    ],
    ids=["int80", "x32"],
)
async def test_calls_of_a_foreign_architecture_kill_the_process_or_are_absent(box: Box, code: bytes) -> None:
    machine_code = f"""
import ctypes, mmap
memory = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
memory.write({code!r})
function = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
result = function()
"""
    observation = await run(box, machine_code)
    assert Outcome.KILLED == observation.outcome or observation.value == -errno.ENOSYS, observation


def test_nothing_is_both_allowed_and_forbidden() -> None:
    assert not ALLOWED & FORBIDDEN
    assert not NEEDS_MEMORY_CGROUP & (ALLOWED | FORBIDDEN)
    assert (
        not {"clone", "clone3", "prctl", "ioctl", "socket", "personality", "io_uring_setup", "splice"}
        & ALLOWED
    )


@pytest.mark.parametrize(
    ("locks", "records", "whole"),
    [("own", "allow", "allow"), ("shared", "allow", "ENOSYS"), ("refused", "EPERM", "ENOSYS")],
)
def test_whose_inodes_can_be_locked_decides_what_locks_there_are(
    locks: Locks, records: str, whole: str
) -> None:
    flock, fcntl = (
        int(pyseccomp.resolve_syscall(pyseccomp.Arch.X86_64, name)) for name in ("flock", "fcntl")
    )
    program = Program(compile_policy(loopback=False, memory_cgroup=True, machine="x86_64", locks=locks))
    commands = (5, 6, 7, 36, 37, 38)
    for command in (*commands, *(command | 1 << 32 for command in commands)):
        assert records == program.verdict(AUDIT_ARCH["x86_64"], fcntl, 3, command)
    assert whole == program.verdict(AUDIT_ARCH["x86_64"], flock, 3, 2)
    for command in (1024, 1026):
        assert "ENOSYS" == program.verdict(AUDIT_ARCH["x86_64"], fcntl, 3, command)


def test_every_set_of_options_gives_another_program() -> None:
    programs = {
        compile_policy(loopback=loopback, memory_cgroup=memory)
        for loopback in (False, True)
        for memory in (False, True)
    }
    assert 4 == len(programs)
    assert all(program and len(program) % 8 == 0 and len(program) < 4096 * 8 for program in programs)


def test_without_libseccomp_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: object, **more: object) -> object:
        if name == "pyseccomp":
            message = "Unable to find libseccomp"
            raise RuntimeError(message)
        return real(name, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Unsupported, match="libseccomp2"):
        syscall_filter._libseccomp()
