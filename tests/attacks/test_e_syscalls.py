"""Group E: system calls and kernel surface. What the policy leaves reaches nothing that is shared."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
import re
import resource
import shutil
import signal
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.observation import Outcome
from sandbox.syscall_filter import compile_policy
from sandbox.syscall_policy import rules
from tests.attacks import attacker as outside
from tests.attacks.attacker import LIMITS
from tests.attacks.kernel import Program, descriptors, digest_of, namespaces, proc
from tests.sandbox.kin import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _pytest.mark import ParameterSet

    from tests.attacks.attacker import Attacker

on_x86_64 = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="only x86-64 has a second and a third table of calls"
)

FAMILIES = {
    "INET": 2, "AX25": 3, "IPX": 4, "X25": 9, "INET6": 10, "NETLINK": 16, "PACKET": 17, "RDS": 21,
    "PPPOX": 24, "LLC": 26, "CAN": 29, "TIPC": 30, "BLUETOOTH": 31, "RXRPC": 33, "KCM": 41, "ALG": 38,
    "NFC": 39, "VSOCK": 40, "QIPCRTR": 42, "SMC": 43, "XDP": 44, "MCTP": 45,
}  # fmt: skip


def text_of(path: str) -> str:
    """Return a file of the kernel's; nothing if this kernel has none of the name."""
    return Path(path).read_text() if Path(path).exists() else ""


@on_x86_64
@pytest.mark.parametrize(
    "code",
    [
        b"\xb8\x14\x00\x00\x00\xcd\x80\xc3",  # mov eax, 20 (getpid among the 32-bit calls); int 0x80; ret
        b"\xb8\x27\x00\x00\x40\x0f\x05\xc3",  # mov eax, 39 with the x32 bit (getpid); syscall; ret
    ],
    ids=["int 0x80", "x32"],
)
async def test_row_64_a_call_of_a_foreign_table_kills_its_process_or_is_absent(
    attacker: Attacker, code: bytes, observed: Callable[[str], None]
) -> None:
    seen = await attacker.value(f"""
import mmap
memory = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
memory.write({code!r})
function = _ctypes.CFUNCTYPE(_ctypes.c_long)(_ctypes.addressof(_ctypes.c_char.from_buffer(memory)))
told, tell = os.pipe()
pid = os.fork()
if pid == 0:
    os.write(tell, str(function()).encode())
    os._exit(0)
os.close(tell)
status = os.waitpid(pid, 0)[1]
result = (os.WTERMSIG(status) if os.WIFSIGNALED(status) else None, os.read(told, 64))
""")
    assert seen in [(signal.SIGSYS, b""), (None, str(-errno.ENOSYS).encode())]
    assert await attacker.is_well()
    observed("killed by SIGSYS" if seen[0] else "ENOSYS")


async def test_row_65_io_uring_is_absent(attacker: Attacker, observed: Callable[[str], None]) -> None:
    answers = [
        await attacker.value("result = raw(NR.io_uring_setup, 8, _ctypes.create_string_buffer(120))"),
        await attacker.raw("io_uring_enter", 3, 1, 1, 0, 0, 0),
        await attacker.raw("io_uring_register", 3, 0, 0, 0),
        *[
            await attacker.raw(name, 1, 0, 0, 0, 0)
            for name in ("io_setup", "io_submit", "io_getevents", "io_destroy")
        ],
    ]
    assert ["ENOSYS"] * 7 == answers
    lane = attacker.box._lanes["python"].process.pid()
    assert not [target for target in descriptors(lane).values() if "io_uring" in target]
    observed("ENOSYS, aio likewise")


async def test_row_66_no_socket_but_unix_ones_can_be_made(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    before = text_of("/proc/modules")
    answers: dict[Any, Any] = await attacker.value(f"""
pair = _ctypes.byref((_ctypes.c_int * 2)())
result = {{}}
for name, family in {FAMILIES}.items():
    for kind in (1, 2, 3, 5, 10, 1 | 0o2000000):
        for high in (0, 1 << 32, -1 << 32):
            result['socket', name, kind, high] = raw(NR.socket, family | high, kind, 0)
            result['socketpair', name, kind, high] = raw(NR.socketpair, family | high, kind, 0, pair)
for family in (0, 46, 255, -1, 1 << 31, 1 | 1 << 32):
    result['socket', family] = raw(NR.socket, family, 1, 0)
    result['socketpair', family] = raw(NR.socketpair, family, 1, 0, pair)
""")
    assert {} == {key: found for key, found in answers.items() if found != "EAFNOSUPPORT"}
    unix = "result = raw(NR.socket, 1, 1, 0) > 4 and raw(NR.socketpair, 1, 2, 0, pair) == 0"
    assert await attacker.value(unix)
    # asking for a family is how its module gets loaded
    assert before.count("\n") == text_of("/proc/modules").count("\n")
    lane = attacker.box._lanes["python"].process.pid()
    listed = proc(lane, "net/dev").splitlines()[2:]
    assert {"lo"} >= {row.partition(":")[0].strip() for row in listed}
    observed(f"EAFNOSUPPORT, {len(answers)} of {len(answers)}")


@pytest.fixture(name="listener")
def _listener() -> Iterator[socket.socket]:
    """Listen on this machine, where a program of a session would arrive if it could."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


PROGRAMS = [
    "curl -sS --max-time 5 http://127.0.0.1:PORT/",
    "curl -sS --max-time 5 http://example.com/",
    "wget -q -T 5 -t 1 -O - http://127.0.0.1:PORT/",
    "nc -w 5 127.0.0.1 PORT </dev/null",
    "ssh -o BatchMode=yes -o ConnectTimeout=5 -p PORT 127.0.0.1 true",
    "getent hosts example.com",
    "exec 9<>/dev/tcp/127.0.0.1/PORT",
    "exec 9<>/dev/udp/8.8.8.8/53",
    "ping -c 1 -W 5 127.0.0.1",
    "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", PORT), 5)'",
    "python3 -c 'import socket; socket.getaddrinfo(\"example.com\", 80)'",
    "git ls-remote http://127.0.0.1:PORT/x",
]


def if_installed(command: str) -> ParameterSet:
    """Return a command as a parameter, skipped if there is no such program to try."""
    program = command.partition(" ")[0]
    missing = program not in ("exec", "python3") and shutil.which(program) is None
    reason = f"{program} is not installed on this machine"
    return pytest.param(command, marks=pytest.mark.skipif(missing, reason=reason))


@pytest.mark.parametrize("command", [if_installed(command) for command in PROGRAMS])
async def test_row_67_no_program_reaches_a_network(
    attacker: Attacker, listener: socket.socket, command: str, observed: Callable[[str], None]
) -> None:
    program = command.split(maxsplit=1)[0]
    if program not in ("exec", "python3") and shutil.which(program) is None:
        pytest.skip(f"{program} is not installed on this machine")
    started = time.monotonic()
    seen = await attacker.bash(command.replace("PORT", str(listener.getsockname()[1])))
    assert seen.value["exit_code"] not in (0, None), seen
    assert time.monotonic() - started < outside.GRACE
    with pytest.raises(BlockingIOError):
        listener.accept()
    observed(f"exit code {seen.value['exit_code']} at once; nobody arrived")


async def test_row_68_abstract_sockets_of_host_and_sibling_are_out_of_reach(
    attacker: Attacker, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    name = f"creche-{os.urandom(8).hex()}"
    with socket.socket(socket.AF_UNIX) as host:
        host.bind(f"\0{name}")
        host.listen()
        host.setblocking(False)
        sibling = f"""
import socket
sockets = [socket.socket(socket.AF_UNIX) for _ in range(3)]
sockets[0].bind('\\0{name}-sibling')
sockets[1].bind('/tmp/{name}')
for each in sockets[:2]: each.listen()
sockets[0].settimeout(0)
sockets[2].bind('')
result = sockets[2].getsockname()
"""
        chosen = (await neighbour.value(sibling))[1:].decode()
        connect = f"""
import socket
def to(name, kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_UNIX, kind) as one: one.connect(name)
result = [attempt(to, '\\0' + name) for name in ('{name}', '{name}-sibling', '{chosen}')]
result += [attempt(to, '\\0{name}', socket.SOCK_DGRAM), attempt(to, '\\0{name}', socket.SOCK_SEQPACKET)]
"""
        answers = await attacker.value(connect)
        assert set(answers) <= {"ECONNREFUSED", "EPERM"}, answers
        with pytest.raises(BlockingIOError):
            host.accept()
        assert "EAGAIN" == await neighbour.value("result = attempt(sockets[0].accept)")
        listed = (await attacker.bash("cat /proc/self/net/unix /proc/1/net/unix; ls /tmp")).stdout
        assert name not in listed
        # Not even that a name is taken can be told.
        assert "done" == await attacker.value(
            f"taken = socket.socket(socket.AF_UNIX); result = attempt(taken.bind, '\\0{name}-sibling')"
        )
    observed(f"{' or '.join(sorted(set(answers)))}; neither listed nor taken")


async def test_row_69_no_named_socket_of_the_host_is_in_sight(
    attacker: Attacker, tmp_path: Path, observed: Callable[[str], None]
) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as host:
        with contextlib.chdir(tmp_path):
            host.bind("s")
        host.listen()
        host.setblocking(False)
        answers = await attacker.value(f"""
import socket, stat
def to(name):
    with socket.socket(socket.AF_UNIX) as one: one.connect(name)
result = [attempt(to, name) for name in ('{path}'[-100:], '/run/docker.sock', '/var/run/docker.sock',
    '/run/dbus/system_bus_socket',
    '/run/containerd/containerd.sock', '/run/systemd/private', '/dev/log', '/run/systemd/journal/socket',
    '/tmp/.X11-unix/X0')]
""")
        assert {"ENOENT"} == set(answers), answers
        with pytest.raises(BlockingIOError):
            host.accept()
    found = await attacker.bash(
        "find / -xdev -type s 2>/dev/null; find /dev /etc /opt /run /var -type s 2>/dev/null"
    )
    assert "" == found.stdout
    observed("ENOENT; no socket in the whole tree")


async def test_row_70_keyrings_are_out_of_reach(attacker: Attacker, observed: Callable[[str], None]) -> None:
    answers = await attacker.value("""
result = [raw(NR.keyctl, command, -3, 0, 0, 0) for command in range(32)]
result += [raw(NR.add_key, b'user', b'creche', b'x', 1, ring) for ring in (-1, -2, -3, -4, -5)]
result += [raw(NR.request_key, b'user', b'creche', 0, -3)]
result += [attempt(os.open, path, 0) for path in ('/proc/keys', '/proc/key-users')]
""")
    assert ["ENOSYS"] * 32 + ["EPERM"] * 6 + ["ENOENT"] * 2 == answers
    assert "creche" not in text_of("/proc/keys")
    observed("keyctl ENOSYS; add_key, request_key EPERM")


SHARED = "/usr/bin/env"


async def test_row_71_shared_files_cannot_be_leased_or_watched(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    answers: dict[Any, Any] = await attacker.value(f"""
paths = ['{SHARED}', '/dev/null', '/opt/creche/tools/bash.py', os.path.realpath(sys.executable), '/usr', '/']
result = {{}}
for path in paths:
    file = os.open(path, os.O_RDONLY)
    for lease in (0, 1, 2):
        result['lease', path, lease] = raw(NR.fcntl, file, 1024, lease)
    result['notify', path] = raw(NR.fcntl, file, 1026, 0x8000003F)
    result['lease, high bits', path] = raw(NR.fcntl, file, 1024 | 1 << 32, 1)
result['inotify'] = raw(NR.inotify_init1, 0)
result['inotify, add'] = raw(NR.inotify_add_watch, 3, b'/usr', 0xFFF)
result['fanotify'] = raw(NR.fanotify_init, 0, 0)
result['fanotify, mark'] = raw(NR.fanotify_mark, 3, 1, 1, -100, b'/usr')
""")
    assert {} == {key: found for key, found in answers.items() if found not in {"ENOSYS", "EPERM"}}
    observed(f"ENOSYS or EPERM, {len(answers)} of {len(answers)}")


_LOCKING = """
import fcntl, glob, select, struct
paths = ['/', '/usr', '/usr/bin/env', '/etc', '/etc/hosts', '/opt', '/opt/creche/tools/bash.py', '/run',
    '/var', os.path.realpath(sys.executable), os.path.dirname(os.__file__), '/opt/site-packages',
    *glob.glob('/opt/python/lib/*/site-packages'), '/dev', *glob.glob('/dev/[nzfru]*'), '/proc',
    '/proc/self/exe', '/proc/self/fd/0', *glob.glob('/proc/self/ns/*'), '/proc/self/cwd', '/proc/self/root',
    '/proc/1/cgroup', '/proc/1/ns/time', '/proc/1/exe', '/proc/self/map_files']
made = {'eventfd': (NR.eventfd2, 0, 0), 'epoll': (NR.epoll_create1, 0), 'timerfd': (NR.timerfd_create, 1, 0),
    'signalfd': (NR.signalfd4, -1, _ctypes.byref(_ctypes.c_uint64()), 8, 0),
    'pidfd': (NR.pidfd_open, os.getpid(), 0)}
def opened():
    files = {name: raw(*call) for name, call in made.items()}
    for path in paths:
        for flags in (os.O_RDONLY, os.O_RDWR, os.O_RDONLY | os.O_DIRECTORY):
            files[path, flags] = attempt(os.open, path, flags)
    return files
def record(kind, start, length): return struct.pack('hhqqi4x', kind, 0, start, length, 0)
places = ((0, 0), (4711, 1), (1 << 40, 7))
"""
_TAKE = f"""{_LOCKING}
held = {{name: file for name, file in opened().items() if isinstance(file, int)}}
result = 0
for file in held.values():
    for kind in (fcntl.F_RDLCK, fcntl.F_WRLCK):
        for command in (fcntl.F_SETLK, 37):
            for place in places:
                result += isinstance(attempt(fcntl.fcntl, file, command, record(kind, *place)), bytes)
    for operation in (fcntl.LOCK_SH, fcntl.LOCK_EX):
        result += attempt(fcntl.flock, file, operation | fcntl.LOCK_NB) == 'done'
"""
_LOOK = f"""{_LOCKING}
import zlib
result = {{}}
for name, file in opened().items():
    answers = [file] if isinstance(file, str) else []
    for kind in (fcntl.F_RDLCK, fcntl.F_WRLCK) if not answers else ():
        for place in places:
            for command in (fcntl.F_GETLK, 36):
                answers.append(attempt(fcntl.fcntl, file, command, record(kind, *place)))
            for command in (fcntl.F_SETLK, 37):
                answers.append(attempt(fcntl.fcntl, file, command, record(kind, *place)))
                attempt(fcntl.fcntl, file, command, record(fcntl.F_UNLCK, *place))
    for operation in (fcntl.LOCK_SH, fcntl.LOCK_EX) if isinstance(file, int) else ():
        answers.append(attempt(fcntl.flock, file, operation | fcntl.LOCK_NB))
        attempt(fcntl.flock, file, fcntl.LOCK_UN)
    attempt(os.close, file if isinstance(file, int) else -1)
    result[name] = [len(answers), answers[-1], zlib.crc32(repr(answers).encode())]
"""
"""How many answers each file gives, the last, and a sum over all."""


async def test_row_71_locks_of_one_session_are_not_met_by_another(
    attacker: Attacker, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    for one, other in ((attacker, neighbour), (neighbour, attacker)):
        before: dict[Any, Any] = await other.value(_LOOK)
        taken = await one.value(_TAKE)
        after: dict[Any, Any] = await other.value(_LOOK)
        assert {} == {key: (before[key], found) for key, found in after.items() if before[key] != found}
        assert [26, "done"] == before[SHARED, os.O_RDONLY][:2]
        assert [26, "EAGAIN"] == before["eventfd"][:2] == before["/dev/null", os.O_RDWR][:2]
        assert taken > 200
        observed(f"{taken} locks held: the answers of {len(before)} files stay as they were")
        await one.run("for file in held.values(): os.close(file)")


async def test_row_71_locks_of_a_session_are_not_met_by_the_host(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    await attacker.value(_TAKE)
    # What the host shows the session and nobody here writes to, but for the program that lanes are forks of.
    for path in (SHARED, "/usr", os.__file__, str(Path(os.__file__).parent)):
        file = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
            kind = struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, asked))[0]
        finally:
            os.close(file)
        assert fcntl.F_UNLCK == kind, path
    observed("the host can lock, and is told of no lock")


@pytest.mark.parametrize("path", [SHARED, "/workspace/own", "/dev/shm/own", "/tmp"])
async def test_row_71_within_a_session_locks_work(
    attacker: Attacker, path: str, observed: Callable[[str], None]
) -> None:
    if path.endswith("own"):
        await attacker.run(f"open('{path}', 'w').close()")
    attempt_it = f"flock --nonblock --conflict-exit-code 9 {path} true"
    take = f"""
import fcntl
file = os.open('{path}', os.O_RDONLY)
result = attempt(fcntl.flock, file, fcntl.LOCK_EX)
"""
    assert {"exit_code": 0} == (await attacker.bash(attempt_it)).value
    assert "done" == await attacker.value(take)
    assert {"exit_code": 9} == (await attacker.bash(attempt_it)).value
    await attacker.run("os.close(file)")
    assert {"exit_code": 0} == (await attacker.bash(attempt_it)).value
    observed("met within the session")


async def test_row_71_within_a_session_sqlite_keeps_two_writers_apart(attacker: Attacker) -> None:
    begin = """
import sqlite3
base = sqlite3.connect('/workspace/own.db', timeout=0, isolation_level=None)
base.execute('create table if not exists t (x)')
base.execute('begin exclusive')
result = True
"""
    other = (
        'python3 -c "import sqlite3\n'
        "sqlite3.connect('/workspace/own.db', timeout=0).execute('delete from t')\" 2>&1 | tail -n 1"
    )
    assert await attacker.value(begin)
    assert "sqlite3.OperationalError: database is locked\n" == (await attacker.bash(other)).stdout
    await attacker.run("base.execute('commit')")
    assert "" == (await attacker.bash(other)).stdout


async def test_row_72_ipc_objects_of_the_kernel_are_out_of_reach(
    attacker: Attacker, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    limits = proc(outside.init_of(attacker.box), "limits")
    assert re.search(r"Max msgqueue size +0 +0", limits)
    answers = await attacker.value("""
key = 0x4711
result = [raw(NR.shmget, key, 4096, 0o1600), raw(NR.shmat, 0, 0, 0), raw(NR.shmctl, 0, 13, 0), raw(NR.shmdt,
    0),
          raw(NR.semget, key, 1, 0o1600), raw(NR.semop, 0, 0, 0), raw(NR.semctl, 0, 0, 0,
              0), raw(NR.semtimedop, 0, 0, 0, 0),
          raw(NR.msgget, key, 0o1600), raw(NR.msgsnd, 0, 0, 0, 0), raw(NR.msgrcv, 0, 0, 0, 0,
              0), raw(NR.msgctl, 0, 0, 0),
          raw(NR.mq_open, b'creche', 0o102, 0o600, 0), raw(NR.mq_unlink, b'creche'), raw(NR.mq_notify, 0, 0),
          raw(NR.fanotify_init, 0, 0)]
""")
    assert ["EPERM"] * 16 == answers
    assert ["ENOSYS", "ENOSYS"] == [await attacker.raw("inotify_init1", 0),
        await attacker.raw("inotify_add_watch", 3, 0, 0)]  # fmt: skip
    pids = (outside.init_of(attacker.box), outside.init_of(neighbour.box), os.getpid())
    assert 3 == len({namespaces(pid)["ipc"] for pid in pids})
    observed("EPERM; inotify ENOSYS")


PRIVILEGED = [
    "userfaultfd",
    "bpf",
    "perf_event_open",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "syslog",
    "reboot",
    "acct",
    "swapon",
    "swapoff",
    "quotactl",
    "quotactl_fd",
    "iopl",
    "ioperm",
    "vhangup",
    "settimeofday",
    "clock_settime",
    "adjtimex",
    "clock_adjtime",
    "sethostname",
    "setdomainname",
    "lookup_dcookie",
    "process_vm_readv",
    "process_vm_writev",
    "kcmp",
    "ptrace",
    "seccomp",
]


async def test_row_73_privileged_calls_are_refused(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    names = [name for name in PRIVILEGED if outside.number_of(name) >= 0]
    answers = await attacker.value(
        "result = {" + ", ".join(f"'{name}': raw(NR.{name}, 0, 0, 0, 0, 0, 0)" for name in names) + "}"
    )
    assert dict.fromkeys(names, "EPERM") == answers
    # The other ways to hand the kernel a program of one's own.
    bring = """
import socket, struct
one, other = socket.socketpair()
accept_all = _ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0xFFFF))
program = struct.pack('HxxxxxxQ', 1, _ctypes.addressof(accept_all))
result = [attempt(one.setsockopt, 1, option | high, program) for option in (26, 50, 51, 52) for high in (0,)]
result += [raw(NR.setsockopt, one.fileno(), 1 | 1 << 32, 26 | bits << 32, _ctypes.c_char_p(program),
    16) for bits in (0, 1)]
result += [raw(NR.prctl, 22, 2, _ctypes.c_char_p(program), 0, 0)]
"""
    assert {"ENOSYS"} == set(await attacker.value(bring))
    assert "1" == outside.status_of(attacker.box._lanes["python"].process.pid())["Seccomp_filters"]
    observed(f"EPERM, {len(names)} of {len(names)}; filters on sockets: ENOSYS")


async def test_row_74_nothing_can_be_typed_into_a_terminal(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    answers = await attacker.value("""
byte = _ctypes.create_string_buffer(b'x')
result = {}
for name, request in (('TIOCSTI', 0x5412), ('TIOCLINUX', 0x541C), ('TIOCCONS', 0x541D), ('TIOCSCTTY', 0x540E),
                      ('TIOCSETD', 0x5423), ('TIOCNOTTY', 0x5422), ('KDSKBENT', 0x4B47), ('TCXONC', 0x540A)):
    for high in (0, 1 << 32, 0x7FFFFFFF << 32, -1 << 32):
        for file in range(3):
            result[name, high, file] = raw(NR.ioctl, file, request | high, byte)
""")
    assert {"ENOSYS"} == set(answers.values())
    terminals = await attacker.value(
        "names = ('tty', 'ptmx', 'pts/0', 'console', 'tty0')\n"
        "result = [attempt(os.open, f'/dev/{name}', 2) for name in names]"
    )
    assert {"ENOENT"} == set(terminals)
    for pid in (outside.init_of(attacker.box), *outside.processes(attacker.box)):
        assert "0" == proc(pid, "stat").rpartition(")")[2].split()[4]  # tty_nr
    observed(f"ENOSYS, {len(answers)} of {len(answers)}; no terminal")


async def test_row_75_the_execution_domain_cannot_be_changed(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    # ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC, ADDR_COMPAT_LAYOUT, MMAP_PAGE_ZERO, PER_LINUX32; high bits, too.
    answers = await attacker.value(
        "result = [raw(NR.personality, flag | high) for high in (0, 1 << 32)"
        " for flag in (0x40000, 0x400000, 0x200000, 0x100000, 8, 0)]"
    )
    assert {"ENOSYS"} == set(answers)
    assert 0 == await attacker.raw("personality", 0xFFFFFFFF)
    assert "00000000" == proc(attacker.box._lanes["python"].process.pid(), "personality").strip()
    observed("ENOSYS; asking which: 0")


async def test_row_76_a_program_without_a_name_runs_in_the_same_cage(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    huge = await attacker.value(
        "result = [raw(NR.memfd_create, b'x', 4 | size << 26) for size in (0, 21, 30)]"
    )
    assert {"ENOSYS"} == set(huge)  # the host's reserve of huge pages
    made = await attacker.raw("memfd_create", "b'x'", 0)
    if attacker.box._group is None:
        assert "ENOSYS" == made  # no control group counts its memory
        observed("ENOSYS: no control group here")
        return
    run = """
import shutil
file = os.memfd_create('x')
with open('/bin/cat', 'rb') as program: os.write(file, program.read())
told, tell = os.pipe()
pid = os.fork()
if pid == 0:
    os.dup2(tell, 1)
    raw(NR.execveat, file, b'', _ctypes.byref((_ctypes.c_char_p * 3)(b'cat', b'/proc/self/status')), None,
        0x1000)
    os._exit(1)
os.close(tell)
text = b''
while data := os.read(told, 4096): text += data
os.waitpid(pid, 0)
result = dict(row.split(':\\t') for row in text.decode().splitlines() if row.split(':')[0] in
              ('NoNewPrivs', 'Seccomp', 'Seccomp_filters', 'CapEff', 'CapBnd', 'NSpid'))
"""
    status = await attacker.value(run)
    assert {"NoNewPrivs": "1", "Seccomp": "2", "Seccomp_filters": "1", "CapEff": "0" * 16,
        "CapBnd": "0" * 16}.items() <= status.items()  # fmt: skip
    assert "\t" not in status["NSpid"]
    observed("runs, with the same filter and no capabilities")


def test_row_77_the_policy_looks_at_no_argument_that_is_a_pointer(observed: Callable[[str], None]) -> None:
    # Of each call that arguments decide, the places of those that are looked at.
    integers = {
        "fcntl": {1}, "ioctl": {1}, "prctl": {0}, "clone": {0}, "personality": {0}, "mmap": {3},
        "memfd_create": {1}, "preadv2": {5},
        "socket": {0}, "socketpair": {0}, "setsockopt": {1, 2}, "setrlimit": {0}, "prlimit64": {0, 1, 2},
        "setpriority": {0, 1}, "ioprio_set": {0, 1},
        "sched_setaffinity": {0}, "sched_setattr": {0}, "sched_setparam": {0}, "sched_setscheduler": {0},
    }  # fmt: skip
    looked_at: dict[str, set[int]] = {}
    for loopback in (False, True):
        for memory_cgroup in (False, True):
            for _, name, *conditions in rules(
                own_network=True, own_files=True, locks="own", loopback=loopback, memory_cgroup=memory_cgroup
            ):
                if conditions:
                    looked_at.setdefault(name, set()).update(condition[0] for condition in conditions)
    assert integers == looked_at  # prlimit64's third: whether there is a pointer, never what it points to
    program = Program(compile_policy(loopback=False, memory_cgroup=True))
    assert program.argument_words() <= {0, 4, *range(16, 64, 4)}
    observed(f"{len(integers)} calls, integers only")


async def test_row_77_a_path_that_changes_after_the_check_leads_nowhere_else(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    race = """
import threading
innocent, wanted = b'/workspace/innocent\\0', b'/proc/1/environ\\0\\0\\0\\0\\0'
open('/workspace/innocent', 'w').close()
path = _ctypes.create_string_buffer(innocent, 64)
going = True
def swap():
    while going:
        _ctypes.memmove(path, wanted, len(wanted)); _ctypes.memmove(path, innocent, len(innocent))
threads = [threading.Thread(target=swap) for _ in range(2)]
for thread in threads: thread.start()
seen = {}
end = time.monotonic() + 0.4
while time.monotonic() < end or '/workspace/innocent' not in seen:
    file = raw(NR.openat, -100, path, 0, 0)
    if isinstance(file, str):
        seen[file] = seen.get(file, 0) + 1
    else:
        name = os.readlink(f'/proc/self/fd/{file}')
        seen[name] = seen.get(name, 0) + 1
        os.close(file)
going = False
for thread in threads: thread.join()
result = seen
"""
    seen = await attacker.value(race)
    assert set(seen) <= {"/workspace/innocent", "EACCES", "ENOENT", "ENOTDIR"}, seen
    assert "/workspace/innocent" in seen
    observed(f"{sum(seen.values())} tries: {', '.join(sorted(seen))}")


async def test_row_78_descriptors_run_out_inside_and_nowhere_else(
    attacker: Attacker, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    def allocated() -> int:
        return int(Path("/proc/sys/fs/file-nr").read_text().split()[0])

    before = allocated()
    exhaust = f"""
import select, socket
held, result = [], {{}}
try:
    while True: held.append(os.dup(0))
except OSError as error: result['dup'] = (_errno.errorcode[error.errno], len(held) > 900)
while len(held) > 900: os.close(held.pop())
one, other = socket.socketpair()
for each in (one, other): each.setblocking(False)
sent = 0
try:
    while True: socket.send_fds(one, [b'x'], held[:250]); sent += 250
except OSError as error: result['in flight'] = (_errno.errorcode[error.errno], sent < 5000)
chain = [select.epoll()]
try:
    while len(chain) < 20:
        chain.append(select.epoll())
        chain[-1].register(chain[-2].fileno())
except OSError as error: result['epoll'] = _errno.errorcode[error.errno]
loop = select.epoll(), select.epoll()
loop[0].register(loop[1].fileno())
result['loop'] = attempt(loop[1].register, loop[0].fileno())
children = 0
for _ in range({LIMITS.processes}):
    try:
        if os.fork() == 0:
            try:
                while True: held.append(os.dup(0))
            except OSError: pass
            time.sleep(600)
        children += 1
    except OSError: break
result['children'] = children
"""
    answers = await attacker.value(exhaust)
    assert ("EMFILE", True) == answers["dup"]
    assert answers["in flight"][0] in ("ETOOMANYREFS", "EAGAIN")
    assert answers["in flight"][1]
    assert answers["epoll"] in ("EINVAL", "ELOOP")
    assert "ELOOP" == answers["loop"]
    assert 0 < answers["children"] < LIMITS.processes
    # dup shares one open file: a session's descriptors are table entries, hardly files of the host's.
    assert allocated() - before < LIMITS.processes * 1024
    assert await neighbour.is_well()
    await attacker.finish()
    await outside.until(lambda: allocated() - before < 2000, PATIENCE)  # other tests' files come and go
    observed(
        f"EMFILE at {1024}; in flight {answers['in flight'][0]}; epoll {answers['epoll']}, {answers['loop']}"
    )


async def test_row_79_the_pages_of_shared_files_cannot_be_reached_for_writing(
    attacker: Attacker, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    digest = digest_of(SHARED)
    answers: dict[Any, Any] = await attacker.value(f"""
import mmap
file = os.open('{SHARED}', os.O_RDONLY)
told, tell = os.pipe()
other, more = os.pipe()
offset = _ctypes.byref(_ctypes.c_long(1))
vector = (_ctypes.c_ulong * 2)(_ctypes.addressof(_ctypes.create_string_buffer(64)), 64)
result = {{
    'splice': raw(NR.splice, file, offset, tell, 0, 1, 0),
    'tee': raw(NR.tee, told, more, 1, 0),
    'vmsplice': raw(NR.vmsplice, tell, _ctypes.byref(vector), 1, 0),
    'sendfile': raw(NR.sendfile, tell, file, 0, 1),
    'AF_ALG': raw(NR.socket, 38, 5, 0),
    'AF_ALG pair': raw(NR.socketpair, 38, 5, 0, _ctypes.byref((_ctypes.c_int * 2)())),
    'shared writable mapping': raw(NR.mmap, 0, 4096, 3, 1, file, 0),
    'process_vm_writev': raw(NR.process_vm_writev, os.getpid(), _ctypes.byref(vector), 1,
        _ctypes.byref(vector), 1, 0),
    'userfaultfd': raw(NR.userfaultfd, 0),
    'ptrace': raw(NR.ptrace, 0, 0, 0, 0),
    'write': raw(NR.write, file, b'x', 1),
    'pwrite64': raw(NR.pwrite64, file, b'x', 1, 0),
    'ftruncate': raw(NR.ftruncate, file, 0),
    'fallocate': raw(NR.fallocate, file, 3, 0, 4096),
    'copy_file_range': raw(NR.copy_file_range, file, 0, file, 0, 1, 0),
    'FICLONE': raw(NR.ioctl, file, 0x40049409, file),
}}
shared = raw(NR.mmap, 0, 4096, 1, 1, file, 0)
result['mprotect'] = raw(NR.mprotect, shared, 4096, 3)
# The private copy that /proc/self/mem makes is the process's own (Dirty COW was a race about this).
result['mem'] = attempt(os.pwrite, attempt(os.open, '/proc/self/mem', os.O_WRONLY), b'X',
    shared) if not isinstance(attempt(os.open, '/proc/self/mem', os.O_WRONLY), str) else 'EACCES'
""")
    refused = {
        "ENOSYS",
        "EPERM",
        "EACCES",
        "EBADF",
        "EINVAL",
        "EAFNOSUPPORT",
        "EIO",
        "EFAULT",
        "EROFS",
        "EXDEV",
    }
    assert {} == {name: found for name, found in answers.items() if found not in refused}
    assert digest == digest_of(SHARED)
    assert digest == (await neighbour.bash(f"sha256sum <{SHARED}")).stdout.split()[0]
    observed(f"refused, {len(answers)} of {len(answers)}")


async def test_row_80_a_crash_starts_nothing_on_the_host_and_leaves_no_core(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    # At a limit of 0 the kernel still starts the program behind "|" in core_pattern, as root and
    # outside; at 1 it does not.
    init = outside.init_of(attacker.box)
    (core,) = [row.split()[4:6] for row in proc(init, "limits").splitlines() if "core file" in row]
    hardest = resource.getrlimit(resource.RLIMIT_CORE)[1]
    assert core == (["0", "0"] if hardest == 0 else ["1", "1"])
    crash = """
import resource
result = [attempt(resource.setrlimit, resource.RLIMIT_CORE, (0, 0)),
          raw(NR.prlimit64, 0, 4, _ctypes.byref((_ctypes.c_ulong * 2)(0, 0)), 0),
          raw(NR.prlimit64, 0, 4 | 1 << 32, _ctypes.byref((_ctypes.c_ulong * 2)(0, 0)), 0)]
limit = resource.getrlimit(resource.RLIMIT_CORE)
pid = os.fork()
if pid == 0: _ctypes.string_at(0)
status = os.waitpid(pid, 0)[1]
result += [limit, os.WTERMSIG(status), os.WCOREDUMP(status),
    [name for name in os.listdir('/workspace') if 'core' in name]]
"""
    answers = await attacker.value(crash)
    assert ["done", 0, "ENOSYS", tuple(map(int, core)), signal.SIGSEGV, False, []] == answers
    shell = await attacker.bash("ulimit -c 0; ulimit -c; bash -c 'kill -ABRT $$'; echo $?")
    assert ["0", str(128 + signal.SIGABRT)] == shell.stdout.split()  # in blocks, so 1 byte is 0
    assert Outcome.KILLED == (await attacker.run("_ctypes.string_at(0)")).outcome
    assert await attacker.is_well()
    observed(f"limit {core[0]} and stays; no core")
