"""Group D: /proc, /sys, mounts, namespaces. A session sees its own, and can neither change nor leave it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.launcher import open_launcher
from tests.attacks import attacker as outside
from tests.attacks.attacker import LIMITS, open_session
from tests.attacks.kernel import descriptors, digest_of, memory_of, modes, namespaces, proc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.launcher import Launcher
    from tests.attacks.attacker import Attacker

NAMESPACES = {
    "NEWTIME": 0x80,
    "NEWNS": 0x20000,
    "NEWCGROUP": 0x2000000,
    "NEWUTS": 0x4000000,
    "NEWIPC": 0x8000000,
    "NEWUSER": 0x10000000,
    "NEWPID": 0x20000000,
    "NEWNET": 0x40000000,
}


def mounts_of(box: object) -> str:
    return proc(outside.init_of(box), "mountinfo")  # type: ignore[arg-type]


async def test_row_51_no_process_of_the_host_is_in_proc(
    attacker: Attacker, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    await attacker.bash("true")
    listed = await attacker.value(
        "result = sorted(int(name) for name in os.listdir('/proc') if name.isdigit())"
    )
    assert len(outside.processes(attacker.box)) + 1 == len(listed)
    assert max(listed) <= 4 * LIMITS.processes
    zygote = outside.parent_of(outside.init_of(attacker.box))
    theirs = [os.getpid(), zygote, outside.parent_of(zygote), outside.init_of(neighbour.box)]
    look = f"""
result = {{}}
for pid in {[pid for pid in theirs if pid > 4 * LIMITS.processes]}:
    for name in ('environ', 'cmdline', 'fd', 'root', 'mem', 'status'):
        result[pid, name] = attempt(os.open, f'/proc/{{pid}}/{{name}}', os.O_RDONLY)
"""
    assert {"ENOENT"} == set((await attacker.value(look)).values())
    parents = await attacker.value(
        "result = [os.getppid(), open('/proc/1/stat').read().rpartition(')')[2].split()[1]]"
    )
    assert [1, "0"] == parents
    own = await attacker.value(
        "result = [attempt(os.open, f'/proc/1/{name}', 0) for name in ('environ', 'fd/0', 'mem')]"
    )
    assert {"EACCES"} == set(own)
    observed("ENOENT; /proc/1: EACCES")


KERNEL_FILES = [
    "kcore",
    "kmsg",
    "kallsyms",
    "kpagecount",
    "kpageflags",
    "sysrq-trigger",
    "sys",
    "sys/kernel/core_pattern",
    "keys",
    "key-users",
    "mem",
    "meminfo",
    "cpuinfo",
    "version",
    "cmdline",
    "config.gz",
    "modules",
    "mounts/../kcore",
    "slabinfo",
    "timer_list",
    "sched_debug",
    "interrupts",
    "iomem",
    "ioports",
    "bus",
    "acpi",
    "scsi",
    "fs",
    "irq",
    "driver",
    "tty",
    "vmallocinfo",
    "partitions",
    "swaps",
    "uptime",
    "stat",
    "loadavg",
    "filesystems",
    "devices",
]


async def test_row_52_the_kernels_files_are_not_in_proc_by_any_path(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    look = f"""
names = {KERNEL_FILES}
proc = os.open('/proc', os.O_RDONLY | os.O_DIRECTORY)
own = os.open('/proc/self', os.O_RDONLY | os.O_DIRECTORY)
def at(directory, path):
    return raw(NR.openat, directory, path.encode() + b'\\0', os.O_RDONLY, 0)
result = {{}}
for name in names:
    for path in (f'/proc/{{name}}', f'/proc/./{{name}}', f'/proc//{{name}}', f'/proc/self/../{{name}}',
                 f'/proc/self/root/proc/{{name}}', f'/proc/self/cwd/../proc/{{name}}',
                 f'/dev/fd/../../{{name}}',
                 f'/dev/../proc/{{name}}', f'/proc/thread-self/../../../{{name}}'):
        result[path] = at(-100, path)
    result['proc', name] = at(proc, name)
    result['self', name] = at(own, '../' + name)
"""
    answers: dict[Any, Any] = await attacker.value(look)
    assert {} == {path: answer for path, answer in answers.items() if answer not in ("ENOENT", "ENOTDIR")}
    through_init = await attacker.value("result = attempt(os.open, '/proc/1/root/proc/kcore', 0)")
    assert "EACCES" == through_init
    observed(f"ENOENT, {len(answers)} paths")


async def test_row_53_the_kernels_settings_cannot_be_written(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    settings = ("kernel/core_pattern", "kernel/hostname", "vm/overcommit_memory", "user/max_user_namespaces")
    before = {name: proc("sys", name) for name in settings}
    write = f"""
def write(path, data):
    with open(path, 'wb', buffering=0) as file: file.write(data)
result = {{name: attempt(write, '/proc/sys/' + name, b'1') for name in {settings}}}
result['sysrq'] = attempt(write, '/proc/sysrq-trigger', b'c')
for pid in ('self', '1'):
    for name in ('oom_score_adj', 'oom_adj', 'uid_map', 'gid_map', 'setgroups', 'projid_map',
        'timens_offsets'):
        value = {{'oom_score_adj': b'-1000', 'oom_adj': b'-17', 'setgroups': b'allow',
                 'timens_offsets': b'monotonic 1 0'}}.get(name, b'0 0 1')
        result[pid, name] = attempt(write, f'/proc/{{pid}}/{{name}}', value)
"""
    answers = await attacker.value(write)
    missing = {answers.pop(name) for name in (*settings, "sysrq")}
    assert {"ENOENT"} == missing
    assert set(answers.values()) <= {"EACCES", "EPERM"}, answers
    assert before == {name: proc("sys", name) for name in settings}
    scores = [proc(pid, "oom_score_adj") for pid in outside.processes(attacker.box)]
    assert all(int(score) >= 0 for score in scores)
    observed("ENOENT; own scores and maps: EACCES or EPERM")


@pytest.fixture(name="protected_server")
def _protected_server() -> Iterator[None]:
    """Be spared by the OOM killer, as OOMScoreAdjust= of a unit would have it."""
    score = Path("/proc/self/oom_score_adj")
    before = score.read_text()
    try:
        score.write_text("-500")
    except PermissionError:
        pytest.skip("no CAP_SYS_RESOURCE here, so no server can be protected from the OOM killer")
    yield
    score.write_text(before)


async def test_row_53_a_session_cannot_take_back_the_servers_protection_from_the_oom_killer(
    protected_server: None, observed: Callable[[str], None]
) -> None:
    write = """
def write(value):
    with open('/proc/self/oom_score_adj', 'w') as file: file.write(value)
result = [attempt(write, value) for value in ('-500', '-1')]
"""
    async with open_launcher() as launcher, open_session(launcher) as attacker:
        assert ["EACCES", "EACCES"] == await attacker.value(write)
        for pid in (outside.init_of(attacker.box), *outside.processes(attacker.box)):
            assert int(proc(pid, "oom_score_adj")) >= 0
    observed("EACCES below 0")


async def test_row_54_there_is_no_sys_and_no_way_to_mount_it(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    before = mounts_of(attacker.box)
    assert "ENOENT" == await attacker.value("result = attempt(os.listdir, '/sys')")
    assert await attacker.value("result = attempt(os.mkdir, '/sys')") in ("EROFS", "EACCES")
    mount = """
os.makedirs('/tmp/here', exist_ok=True)
result = {}
for kind in (b'sysfs', b'cgroup', b'cgroup2', b'debugfs', b'tracefs', b'securityfs', b'bpf', b'proc',
    b'tmpfs', b'overlay'):
    result['mount', kind] = raw(NR.mount, b'none', b'/tmp/here', kind, 0, 0)
    result['fsopen', kind] = raw(NR.fsopen, kind, 0)
"""
    answers = await attacker.value(mount)
    assert {"EPERM"} == set(answers.values())
    found = await attacker.bash(
        "find / -xdev -name release_agent -o -xdev -name notify_on_release 2>/dev/null"
    )
    assert "" == found.stdout
    assert before == mounts_of(attacker.box)
    kinds = {row.partition(" - ")[2].split()[0] for row in before.splitlines()}
    assert set() == kinds & {"sysfs", "cgroup", "cgroup2", "debugfs", "tracefs", "bpf", "securityfs"}
    observed("no /sys; mount, fsopen: EPERM")


async def test_row_55_limits_can_be_lowered_and_never_raised(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    init = outside.init_of(attacker.box)
    before, groups = proc(init, "limits"), proc(init, "cgroup")
    raise_ = """
import resource
result = {}
for kind in (resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE, resource.RLIMIT_MEMLOCK, resource.RLIMIT_RTPRIO,
             resource.RLIMIT_NICE, resource.RLIMIT_SIGPENDING, resource.RLIMIT_MSGQUEUE,
             resource.RLIMIT_STACK):
    hard = resource.getrlimit(kind)[1]
    new = _ctypes.byref((_ctypes.c_ulong * 2)(hard + 1, hard + 1))
    result['setrlimit', kind] = raw(NR.setrlimit, kind, new) if NR.setrlimit >= 0 else 'EPERM'
    result['prlimit64', kind] = raw(NR.prlimit64, 0, kind, new, 0)
    for pid in (1, os.getpid(), 0x1_0000_0000):
        result['prlimit64', pid, kind] = raw(NR.prlimit64, pid, kind, _ctypes.byref((_ctypes.c_ulong * 2)(1,
            1)), 0)
"""
    answers = await attacker.value(raise_)
    assert {"EPERM"} == set(answers.values()), answers
    files = await attacker.bash(
        "find / -xdev \\( -name cgroup.procs -o -name memory.max -o -name pids.max \\) 2>/dev/null"
    )
    assert "" == files.stdout
    own = await attacker.value("result = open('/proc/self/cgroup').read()")
    assert {"/"} == {row.split(":", 2)[2] for row in own.splitlines()}
    assert before == proc(init, "limits")
    assert groups == proc(init, "cgroup")
    observed(f"EPERM, {len(answers)} of {len(answers)}; no cgroup file in sight")


async def test_row_55_inits_share_of_the_processor_cannot_be_lowered(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    # Without control groups init is what watches the memory: who slows it down has lifted that limit.
    init = outside.init_of(attacker.box)

    def share() -> tuple[object, ...]:
        return (
            os.sched_getscheduler(init),
            os.sched_getaffinity(init),
            os.getpriority(os.PRIO_PROCESS, init),
            os.getpriority(os.PRIO_PROCESS, outside.processes(attacker.box)[0]),
        )

    before = share()
    lower = """
zero = _ctypes.byref(_ctypes.c_int(0))
mask = _ctypes.byref(_ctypes.c_ulong(1))
sched = (_ctypes.c_uint32 * 14)(56, 5)
result = {}
for pid in (1, 0x1_0000_0001):
    result['scheduler', pid] = raw(NR.sched_setscheduler, pid, 5, zero)
    result['param', pid] = raw(NR.sched_setparam, pid, zero)
    result['attr', pid] = raw(NR.sched_setattr, pid, _ctypes.byref(sched), 0)
    result['affinity', pid] = raw(NR.sched_setaffinity, pid, 8, mask)
    result['process', pid] = raw(NR.setpriority, 0, pid, 19)
    result['io', pid] = raw(NR.ioprio_set, 1, pid, 3 << 13)
result['user'] = raw(NR.setpriority, 2, 0, 19)
result['user by name'] = raw(NR.setpriority, 2, 1000, 19)
result['group'] = raw(NR.setpriority, 1, 0, 19)
result['io of the user'] = raw(NR.ioprio_set, 3, 1000, 3 << 13)
"""
    answers = await attacker.value(lower)
    assert {"EPERM"} == set(answers.values()), answers
    assert before == share()
    assert "done" == await attacker.value("result = attempt(os.sched_setaffinity, 0, {0})")  # its own, it may
    observed(f"EPERM, {len(answers)} of {len(answers)}")


async def test_row_56_nothing_can_be_mounted_unmounted_or_pivoted(
    attacker: Attacker, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    before, others = mounts_of(attacker.box), mounts_of(neighbour.box)
    calls = """
os.makedirs('/tmp/a', exist_ok=True)
result = {}
for target in (b'/tmp/a', b'/proc', b'/dev', b'/dev/shm', b'/workspace', b'/', b'/usr'):
    result['bind', target] = raw(NR.mount, b'/tmp', target, b'', 0x1000, 0)
    result['move', target] = raw(NR.mount, target, b'/tmp/a', b'', 0x2000, 0)
    result['remount', target] = raw(NR.mount, b'', target, b'', 0x20 | 0x1000, 0)
    result['share', target] = raw(NR.mount, b'', target, b'', 0x100000, 0)
    result['tmpfs', target] = raw(NR.mount, b't', target, b'tmpfs', 0, 0)
    result['umount', target] = raw(NR.umount2, target, 2)
    result['open_tree', target] = raw(NR.open_tree, -100, target, 1)
    result['setattr', target] = raw(NR.mount_setattr, -100, target, 0, _ctypes.byref((_ctypes.c_ulong * 4)(0,
        1)), 32)
result['pivot_root'] = raw(NR.pivot_root, b'/tmp/a', b'/tmp/a')
result['chroot'] = raw(NR.chroot, b'/tmp/a')
result['fsopen'] = raw(NR.fsopen, b'tmpfs', 0)
result['fspick'] = raw(NR.fspick, -100, b'/', 0)
result['fsmount'] = raw(NR.fsmount, 3, 0, 0)
result['move_mount'] = raw(NR.move_mount, -100, b'/tmp', -100, b'/tmp/a', 0)
"""
    answers = await attacker.value(calls)
    assert {"EPERM"} == set(answers.values()), answers
    assert (before, others) == (mounts_of(attacker.box), mounts_of(neighbour.box))
    observed(f"EPERM, {len(answers)} of {len(answers)}")


async def test_row_57_no_namespace_can_be_made_or_joined(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    lane = attacker.box._lanes["python"].process.pid()
    before = namespaces(lane)
    calls = f"""
result = {{}}
for name, flag in {NAMESPACES}.items():
    for high in (0, 1 << 32):
        result['unshare', name, high] = raw(NR.unshare, flag | high)
        pid = raw(NR.clone, flag | high | 17, 0, 0, 0, 0)
        if pid == 0: os._exit(0)
        result['clone', name, high] = pid
    pair = raw(NR.unshare, flag | {NAMESPACES["NEWUSER"]})
    result['unshare with NEWUSER', name] = pair
for pid in ('1', 'self'):
    for name in os.listdir('/proc/self/ns'):
        file = attempt(os.open, f'/proc/{{pid}}/ns/{{name}}', 0)
        result['setns', pid, name] = file if isinstance(file, str) else raw(NR.setns, file, 0)
pidfd = raw(NR.pidfd_open, 1, 0)
result['setns', 'pidfd'] = raw(NR.setns, pidfd, {NAMESPACES["NEWUSER"] | NAMESPACES["NEWNS"]})
"""
    answers: dict[Any, Any] = await attacker.value(calls)
    allowed = {"unshare": {"EPERM"}, "clone": {"ENOSYS"}, "setns": {"EPERM", "EACCES"}}
    wrong = {key: found for key, found in answers.items() if found not in allowed[key[0].split()[0]]}
    assert {} == wrong
    assert before == namespaces(lane)
    for pid in outside.processes(attacker.box):
        assert "0" * 16 == outside.status_of(pid)["CapEff"]
    observed(f"EPERM or ENOSYS, {len(answers)} of {len(answers)}")


async def test_row_58_clone3_is_absent(attacker: Attacker, observed: Callable[[str], None]) -> None:
    calls = f"""
result = []
for flags in (0, *{NAMESPACES}.values()):
    arguments = (_ctypes.c_uint64 * 11)(flags, 0, 0, 0, 17)
    pid = raw(NR.clone3, _ctypes.byref(arguments), 88)
    if pid == 0: os._exit(0)
    result.append(pid)
"""
    before = outside.processes(attacker.box)
    answers = await attacker.value(calls)
    assert ["ENOSYS"] * 9 == answers
    assert before == outside.processes(attacker.box)
    observed("ENOSYS, 9 of 9")


async def test_row_59_what_a_new_lane_relies_on_cannot_be_swapped_for_a_link(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    swap = """
import shutil
result = {}
for path in ('/dev/null', '/dev/zero', '/dev/urandom', '/dev/fd', '/dev/stdin', '/dev/shm', '/proc', '/tmp',
             '/workspace', '/etc/passwd', '/bin', '/opt/creche/tools', '/usr/bin/bash'):
    result['unlink', path] = attempt(os.unlink, path)
    result['rmdir', path] = attempt(os.rmdir, path)
    result['rename', path] = attempt(os.rename, path, '/tmp/taken')
    result['replace', path] = attempt(os.replace, '/tmp', path)
    result['link', path] = attempt(os.symlink, '/etc/passwd', path)
for path in ('/dev/console', '/dev/tty', '/dev/ptmx', '/dev/pts', '/dev/mem', '/dev/kmsg', '/dev/vda',
    '/dev/loop0',
             '/dev/fuse', '/dev/kvm', '/dev/net/tun', '/dev/userfaultfd'):
    result['open', path] = attempt(os.open, path, os.O_RDONLY)
    result['mknod', path] = attempt(os.mknod, path, 0o20666, 0x0501)
result['a device of its own'] = attempt(os.mknod, '/tmp/null', 0o20666, 0x0103)
"""
    answers: dict[Any, Any] = await attacker.value(swap)
    refused = {
        "EROFS",
        "EACCES",
        "EPERM",
        "EBUSY",
        "EEXIST",
        "ENOTDIR",
        "EISDIR",
        "ENOENT",
        "ENOTEMPTY",
        "EXDEV",
    }
    assert {} == {key: found for key, found in answers.items() if found not in refused}
    assert {"ENOENT"} == {found for key, found in answers.items() if key[0] == "open"}
    await attacker.run("os._exit(0)")
    assert await attacker.is_well()
    lane = attacker.box._lanes["python"].process.pid()
    assert ("/dev/null", True) == (descriptors(lane)[0], stat.S_ISCHR(modes(lane)[0]))
    assert "done" == await attacker.value(
        "result = attempt(os.write, os.open('/dev/null', 1), b'x') == 1 and 'done'"
    )
    observed(f"refused, {len(answers)} of {len(answers)}; the next lane has the real /dev/null")


async def test_row_60_no_descriptor_leads_out(attacker: Attacker, observed: Callable[[str], None]) -> None:
    await attacker.bash("true")
    for name in ("python", "bash"):
        lane = attacker.box._lanes[name].process.pid()
        inherited = {fd: target for fd, target in sorted(descriptors(lane).items()) if fd <= 4}
        assert "/dev/null" == inherited.pop(0)
        assert [1, 2, 3, 4] == list(inherited)
        assert all(target.startswith("pipe:") for target in inherited.values())
        # The bash tool has opened more since: pipes, a script, a pidfd.
        assert not [mode for mode in modes(lane).values() if stat.S_ISDIR(mode) or stat.S_ISSOCK(mode)]
    climb = """
result = {}
for fd in range(64):
    for way in ('..', '../..', '../../../../../..'):
        result[fd, way] = attempt(os.listdir, f'/proc/self/fd/{fd}/{way}')
root = os.stat('/')
roots = [os.stat(path) for path in ('/proc/self/cwd' + '/..' * 40, '/proc/self/root/..', '/..',
    '/workspace/../../..')]
result['roots'] = all((each.st_dev, each.st_ino) == (root.st_dev, root.st_ino) for each in roots)
"""
    answers = await attacker.value(climb)
    assert answers.pop("roots")
    assert set(answers.values()) <= {"ENOTDIR", "ENOENT"}
    observed("0 to 4 only, none of them a folder or a socket; .. ends at the session's root")


async def test_row_61_no_program_of_the_host_can_be_overwritten(
    attacker: Attacker, launcher: Launcher, observed: Callable[[str], None]
) -> None:
    lane = attacker.box._lanes["python"].process.pid()

    def digest() -> str:
        return digest_of(f"/proc/{lane}/exe")

    before = digest()
    overwrite = """
result = {}
for path in ('/proc/self/exe', '/proc/1/exe', '/proc/self/map_files', os.path.realpath('/proc/self/exe'),
    '/usr/bin/bash',
             '/opt/creche/sandbox/inside/lane.py', '/etc/ld.so.cache'):
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_RDWR | os.O_APPEND):
        result[path, flags] = attempt(os.open, path, flags)
    result['truncate', path] = attempt(os.truncate, path, 0)
    result['chmod', path] = attempt(os.chmod, path, 0o777)
program = os.open('/proc/self/exe', os.O_PATH)
result['through O_PATH'] = attempt(os.open, f'/proc/self/fd/{program}', os.O_WRONLY)
"""
    answers = await attacker.value(overwrite)
    assert set(answers.values()) <= {"EROFS", "EACCES", "EPERM", "ETXTBSY", "EISDIR", "ENOENT"}, answers
    assert before == digest()
    async with open_session(launcher) as next_one:
        assert await next_one.is_well()
    observed(f"refused, {len(answers)} of {len(answers)}")


async def test_row_62_files_cannot_be_opened_by_handle(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    answers = await attacker.value("""
handle = _ctypes.create_string_buffer(b'\\x08\\0\\0\\0\\x01\\0\\0\\0\\x02' + bytes(128))
mount = _ctypes.c_int()
result = [raw(NR.open_by_handle_at, -100, handle, 0), raw(NR.open_by_handle_at, 3, handle, 0),
          raw(NR.name_to_handle_at, -100, b'/usr', handle, _ctypes.byref(mount), 0)]
""")
    assert ["EPERM"] * 3 == answers
    observed("EPERM")


async def test_row_63_init_is_closed_to_whoever_is_inside(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    # The session of an ordinary user owns these files, so some open; what they hold is withheld all the same.
    look = """
def read(path):
    with open(path, 'rb') as file: return file.read(1)
names = ('mem maps smaps environ auxv fd/0 fd/3 fdinfo/0 cwd root exe map_files/0-1000 stack syscall pagemap'
         ' io').split()
result = {name: attempt(read, f'/proc/1/{name}') for name in names}
result.update({f'link {name}': attempt(os.readlink, f'/proc/1/{name}') for name in ('fd/0', 'cwd', 'exe',
    'ns/user')})
"""
    answers = await attacker.value(look)
    assert set(answers.values()) <= {"EACCES", "EPERM", "ENOENT"}, answers
    assert ["EPERM"] * 2 == [await attacker.raw("ptrace", request, 1, 0, 0) for request in (16, 0x4206)]
    gdb = await attacker.bash("gdb -p 1 -batch 2>&1 || true; cat /proc/1/mem 2>&1")
    assert "Permission denied" in gdb.stdout
    assert "0" == outside.status_of(outside.init_of(attacker.box))["TracerPid"]
    observed("EACCES, ptrace EPERM")


async def test_row_63_no_secret_of_the_server_is_in_the_memory_of_zygote_init_or_lane(
    monkeypatch: pytest.MonkeyPatch, observed: Callable[[str], None]
) -> None:
    secret = os.urandom(16).hex()
    monkeypatch.setenv("POLICY_API_KEY", secret)
    kept = [secret * 100]  # the server's memory
    async with open_launcher() as launcher, open_session(launcher) as attacker:
        told = await attacker.bash("cat /proc/[0-9]*/environ; env")
        assert secret not in told.stdout
        init = outside.init_of(attacker.box)
        searched = [outside.parent_of(init), init, *outside.processes(attacker.box)]
        memories = [memory_of(pid) for pid in searched]
        assert all(len(memory) > 1 << 18 for memory in memories), [len(memory) for memory in memories]
        assert [0] * len(searched) == [memory.count(secret.encode()) for memory in memories]
    assert secret.encode() in memory_of(os.getpid())
    assert kept
    observed(f"not found in {sum(map(len, memories)) >> 20} MiB")
