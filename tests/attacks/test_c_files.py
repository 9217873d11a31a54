"""Group C: files, disk, capture. What is written inside stays inside; no link is followed outside."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from sandbox.capture import MAX_DEPTH, MAX_REJECTED, capture_tree
from sandbox.observation import Outcome
from server.sessions.files import SeedError, write_file
from tests.attacks import attacker as outside
from tests.attacks.attacker import LIMITS, open_session, until
from tests.attacks.test_a_processes import DAEMON

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.final_state import FinalState
    from sandbox.launcher import Launcher
    from tests.attacks.attacker import Attacker

MIB = 1 << 20
MORE = attrs.evolve(LIMITS, disk_bytes=64 << 20, memory_bytes=256 << 20, disk_inodes=20_000)


def reasons(final: FinalState) -> Mapping[str, str]:
    """Return why what was rejected was, by path."""
    return {entry.path: entry.reason for entry in final.rejected}


def fingerprint(*paths: str) -> list[tuple[int, int, int]]:
    """Return what changes when one of these files of the host is written to."""
    found = [Path(path).stat() for path in paths]
    return [(each.st_ino, each.st_mtime_ns, each.st_size) for each in found]


READ_ONLY = (
    "/", "/etc", "/usr", "/usr/bin", "/usr/lib", "/bin", "/lib", "/opt", "/opt/creche/sandbox",
    "/opt/creche/tools", "/dev", "/proc", "/proc/self", "/var", "/run",
)  # fmt: skip


async def test_row_31_nothing_but_three_folders_can_be_written_to(
    attacker: Attacker, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    host = ("/", "/etc", "/usr", "/usr/bin", "/etc/passwd", "/bin/sh")
    before = fingerprint(*host)
    write = f"""
result = {{}}
for folder in {READ_ONLY}:
    path = os.path.join(folder, 'evil').encode()
    result[folder, 'create'] = raw(NR.openat, -100, path, os.O_CREAT | os.O_WRONLY, 0o644)
    result[folder, 'mkdir'] = raw(NR.mkdirat, -100, path, 0o755)
    result[folder, 'symlink'] = raw(NR.symlinkat, b'/etc/passwd', -100, path)
    result[folder, 'rename'] = raw(NR.renameat2, -100, folder.encode(), -100, b'/workspace/evil', 0)
for file in ('/etc/passwd', '/bin/sh', '/usr/bin/env', '/opt/creche/sandbox/frames.py', sys.executable):
    result[file, 'write'] = raw(NR.openat, -100, file.encode(), os.O_WRONLY, 0)
    result[file, 'truncate'] = raw(NR.truncate, file.encode(), 0)
    result[file, 'unlink'] = raw(NR.unlinkat, -100, file.encode(), 0)
    result[file, 'chmod'] = raw(NR.fchmodat, -100, file.encode(), 0o777)
    result[file, 'utime'] = raw(NR.utimensat, -100, file.encode(), None, 0)
"""
    answers = await attacker.value(write)
    assert set(answers.values()) <= {"EROFS", "EACCES", "EPERM", "EBUSY", "EXDEV", "ENOENT", "EEXIST"}, (
        answers
    )
    assert {answers[file, "write"] for file in ("/etc/passwd", "/bin/sh")} <= {"EROFS", "EACCES"}
    assert before == fingerprint(*host)
    writable = {point for point, options in outside.mounts_of(attacker.box).items() if "ro" not in options}
    assert {"/workspace", "/tmp", "/dev/shm"} <= writable <= {"/workspace", "/tmp", "/dev/shm", "/proc"}
    assert "ENOENT" == await neighbour.value("result = attempt(os.stat, '/etc/evil')")
    observed(f"{'/'.join(sorted(set(answers.values())))}, {len(answers)} of {len(answers)}")


@pytest.mark.parametrize("way", ["write", "fallocate", "fallocate beyond the end"])
async def test_row_32_a_full_disk_is_enospc_in_the_sessions_own(
    attacker: Attacker, neighbour: Attacker, way: str, observed: Callable[[str], None]
) -> None:
    host = os.statvfs("/").f_bfree
    fill = {
        "write": "while isinstance(last := raw(NR.write, fd, bytes(1 << 16), 1 << 16), int): pass",
        "fallocate": "n = 0\nwhile (last := raw(NR.fallocate, fd, 0, n << 20, 1 << 20)) == 0: n += 1",
        "fallocate beyond the end": "last = raw(NR.fallocate, fd, 1, 1 << 40, 1 << 40)",  # KEEP_SIZE
    }[way]
    code = f"fd = os.open('/workspace/fill', os.O_CREAT | os.O_WRONLY)\n{fill}\nresult = last"
    assert "ENOSPC" == await attacker.value(code)
    used, _ = outside.used_disk(attacker.box)
    assert used <= LIMITS.disk_bytes
    assert (
        host - os.statvfs("/").f_bfree < 64 * MIB // os.statvfs("/").f_frsize
    )  # others use the machine, too
    assert MIB == await neighbour.value(f"result = open('mine', 'wb').write(bytes({MIB}))")
    assert 6 == await attacker.value(
        "os.close(fd)\nos.unlink('fill')\nresult = open('again', 'w').write('enough')"
    )
    assert await attacker.is_well()
    observed(f"ENOSPC at {used / MIB:.0f} MiB; works again once removed")


async def test_row_33_running_out_of_inodes_is_enospc_and_the_end_is_quick(
    launcher: Launcher, observed: Callable[[str], None]
) -> None:
    make = """
n = 0
while isinstance(last := raw(NR.mknodat, -100, b'/workspace/%d' % n, 0o100644, 0), int): n += 1
result = [n, last]
"""
    async with open_session(launcher, MORE) as attacker:
        count, error = await attacker.value(make)
        assert "ENOSPC" == error
        assert MORE.disk_inodes - 16 < count < MORE.disk_inodes
        assert outside.used_disk(attacker.box)[1] <= MORE.disk_inodes
        started = time.process_time()  # not the clock's: others are busy, too
        final = await attacker.finish()
        took = time.process_time() - started
        assert MORE.final_state_files == len(final.files)
        assert MAX_REJECTED + 1 == len(final.rejected)
    assert took < 1.0
    observed(f"ENOSPC after {count} files; finished in {took * 1000:.0f} ms")


async def test_row_34_a_sparse_pebibyte_is_not_read(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    sparse = "result = raw(NR.ftruncate, os.open('huge', os.O_CREAT | os.O_RDWR), 1 << 50)"
    assert 0 == await attacker.value(sparse)
    await attacker.bash("echo small >small")
    before, started = outside.resident_bytes(), time.process_time()
    final = await attacker.finish()
    assert time.process_time() - started < 1.0
    assert outside.resident_bytes() - before < 4 * MIB
    assert {"huge": "too large: the final state's bytes are used up"} == reasons(final)
    assert ["small"] == list(final.files)
    observed("rejected: too large")


async def test_row_35_names_and_depths_of_any_kind_are_captured_or_rejected(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    plant = r"""
long = b'n' * 255
bad = [b'\xff\xfe', b'a\xed\xa0\x80', b'new\nline', b'\x1b[31m', b'\xe2\x80\xaeevil', b'-rf', b' ']
for name in [long, *bad]: open(name, 'w').close()
too_long = raw(NR.mkdirat, -100, b'n' * 256, 0o755)
for _ in range(1000):
    os.mkdir('d')
    os.chdir('d')
open('bottom', 'w').close()
os.chdir('/workspace')
result = too_long
"""
    assert "ENAMETOOLONG" == await attacker.value(plant)
    final = await attacker.finish()
    deep = "/".join(["d"] * (MAX_DEPTH + 1))
    not_text = "its name is not UTF-8"
    assert {
        deep: f"deeper than {MAX_DEPTH} directories",
        "\\xff\\xfe": not_text,
        "a\\xed\\xa0\\x80": not_text,
    } == reasons(final)
    assert {"n" * 255, "new\nline", "\x1b[31m", "\u202eevil", "-rf", " "} == set(final.files)
    observed(f"rejected: {', '.join(sorted(set(reasons(final).values())))}")


LINKS = (
    "/etc/passwd",
    "/proc/self/environ",
    "/dev/urandom",
    "/proc/1/root/etc/shadow",
    "../../etc/passwd",
    "link 0",
)


async def test_row_36_symbolic_links_are_rejected_and_never_followed(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    await attacker.value(f"for n, to in enumerate({LINKS}): os.symlink(to, f'link {{n}}')\nresult = None")
    final = await attacker.finish()
    assert {f"link {n}": "symbolic link" for n in range(len(LINKS))} == reasons(final)
    assert {} == final.files
    observed("rejected: symbolic link")


async def test_row_37_a_link_to_a_directory_is_rejected_and_not_walked(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    await attacker.bash(
        "ln -s / root; ln -s . self; mkdir a; ln -s .. a/up; ln -s /proc/self/root a/proc; echo x >a/x"
    )
    listed = await attacker.box.call("list_files", {})
    assert Outcome.OK == listed.outcome
    assert not any("passwd" in str(entry) for entry in [listed.value])
    final = await attacker.finish()
    assert dict.fromkeys(("root", "self", "a/up", "a/proc"), "symbolic link") == reasons(final)
    assert ["a/x"] == list(final.files)
    observed("rejected: symbolic link")


async def test_row_38_a_component_swapped_for_a_link_all_the_time_never_leads_out(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    swap = """
os.mkdir('/workspace/folder')
open('/workspace/folder/passwd', 'w').write('mine')
os.symlink('/etc', '/workspace/link')
def swapping():
    while True: raw(NR.renameat2, -100, b'/workspace/folder', -100, b'/workspace/link', 2)  # EXCHANGE
daemon(swapping)
result = None
"""
    await attacker.value(DAEMON + swap)
    (tree,) = [attacker.box._tree]

    def is_link(name: str) -> bool:
        return stat.S_ISLNK(os.stat(f"workspace/{name}", dir_fd=tree, follow_symlinks=False).st_mode)

    await until(lambda: is_link("folder"))  # it is being swapped
    for _ in range(20):  # also what the frozen tree rules out: reading it while it is swapped
        files, _ = capture_tree(tree, b"workspace", LIMITS)
        assert {b"mine"} >= {file.data for file in files.values()}
    final = await attacker.finish()
    assert (1, {b"mine"}) == (len(final.files), {file.data for file in final.files.values()})
    assert ["symbolic link"] == list(reasons(final).values())
    again, _ = capture_tree(tree, b"workspace", LIMITS)
    assert final.files == again
    observed("frozen first; the link was rejected, the folder captured")


async def test_row_39_hard_links_to_what_is_not_ones_own_are_refused_and_all_are_rejected(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    before = fingerprint("/etc/passwd", "/bin/sh")
    link = """
result = {}
ours = '/opt/creche/sandbox/frames.py'
targets = ['/etc/passwd', '/bin/sh', sys.executable, '/proc/self/environ', '/dev/null', ours]
for n, target in enumerate(targets):
    new = b'/workspace/hard%d' % n
    result[target, 'link'] = raw(NR.linkat, -100, target.encode(), -100, new, 0)
    result[target, 'descriptor'] = raw(NR.linkat, os.open(target, os.O_PATH), b'', -100, new, 0x1000)
    magic = b'/proc/self/fd/%d' % os.open(target, os.O_PATH)
    result[target, 'magic'] = raw(NR.linkat, -100, magic, -100, new, 0x400)
    result[target, 'rename'] = raw(NR.renameat2, -100, target.encode(), -100, new, 0)
    result[target, 'chmod'] = raw(NR.fchmodat, -100, target.encode(), 0o4777)
open('one', 'w').write('x')
os.link('one', 'two')
result['own', 'to another mount'] = raw(NR.linkat, -100, b'one', -100, b'/tmp/three', 0)
"""
    answers = await attacker.value(link)
    assert set(answers.values()) <= {"EXDEV", "EPERM", "EROFS", "ENOENT", "EACCES"}, answers
    assert before == fingerprint("/etc/passwd", "/bin/sh")
    final = await attacker.finish()
    assert dict.fromkeys(("one", "two"), "hard link: the file has more than one name") == reasons(final)
    observed(f"{'/'.join(sorted(set(answers.values())))}; own ones rejected: more than one name")


async def test_row_40_a_fifo_is_rejected_and_blocks_nobody(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    await attacker.bash(
        "mkfifo pipe; mkdir a; mkfifo a/b; echo x >file; (echo x >pipe) & cat <pipe >/dev/null"
    )
    final = await attacker.finish()
    assert {"pipe": "FIFO", "a/b": "FIFO"} == reasons(final)
    assert ["file"] == list(final.files)
    observed("rejected: FIFO")


async def test_row_41_devices_cannot_be_made_and_special_files_are_rejected(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    make = """
import socket
characters = {'memory': 1 << 8 | 1, 'kmsg': 1 << 8 | 11, 'fuse': 10 << 8 | 229}
result = {name: raw(NR.mknodat, -100, name.encode(), 0o020666, number) for name, number in characters.items()}
for name, number in {'disk': 8 << 8, 'loop': 7 << 8}.items():
    result[name] = raw(NR.mknodat, -100, name.encode(), 0o060666, number)
result['mknod'] = raw(NR.mknod, b'mem', 0o020666, 1 << 8 | 1)
result['whiteout'] = raw(NR.mknodat, -100, b'whiteout', 0o020666, 0)  # a device that is none: anybody may
result['open'] = attempt(os.open, 'whiteout', os.O_RDONLY)
socket.socket(socket.AF_UNIX).bind('bound')
"""
    answers = await attacker.value(make)
    assert answers.pop("whiteout") in (0, "EPERM")
    assert answers.pop("open") in ("ENXIO", "EACCES", "ENOENT")
    assert {"EPERM"} == set(answers.values()), answers
    mounts = outside.mounts_of(attacker.box)
    for point in ("/workspace", "/tmp", "/dev/shm"):
        assert {"nosuid", "nodev"} <= mounts[point]
    final = await attacker.finish()
    assert {"bound": "socket"} == {path: why for path, why in reasons(final).items() if path != "whiteout"}
    assert reasons(final).get("whiteout", "character device") == "character device"
    observed(
        f"EPERM, {len(answers)} of {len(answers)}; rejected: {', '.join(sorted(reasons(final).values()))}"
    )


async def test_row_42_a_setuid_bit_gives_nothing(attacker: Attacker, observed: Callable[[str], None]) -> None:
    copy = await attacker.bash(
        "cp /bin/bash b; chmod 6755 b; stat -c %a b; "
        "./b -p -c 'id -u; echo $EUID; grep -E \"NoNewPrivs|CapEff\" /proc/self/status'"
    )
    assert ["6755", "1000", "1000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"] == copy.stdout.splitlines()
    await attacker.bash("./b -p -c 'sleep 600; :' >&- 2>&- &")
    await until(lambda: any("b" == outside.status_of(pid)["Name"] for pid in outside.processes(attacker.box)))
    users = {outside.status_of(pid)["Uid"] for pid in outside.processes(attacker.box)}
    assert {outside.status_of(outside.init_of(attacker.box))["Uid"]} == users
    assert 1 == len(set(users.pop().split()))
    observed("runs as the same user, no new privileges")


async def test_row_43_many_names_for_one_large_file_are_not_read_many_times(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    await attacker.bash(
        "head -c 600000 /dev/zero >big; for i in $(seq 20); do ln -s big s$i; done; "
        "head -c 600000 /dev/zero >second; for i in $(seq 20); do ln second h$i; done; cp big third"
    )
    before = outside.resident_bytes()
    final = await attacker.finish()
    assert outside.resident_bytes() - before < 8 * MIB
    assert ["big"] == list(final.files)
    assert sum(len(file.data) for file in final.files.values()) <= LIMITS.final_state_bytes
    counted = sorted(reasons(final).values())
    assert 20 == counted.count("symbolic link")
    assert 21 == counted.count("hard link: the file has more than one name")
    assert "too large: the final state's bytes are used up" == reasons(final)["third"]
    observed("1 captured, 42 rejected: links, bytes used up")


async def test_row_44_masses_of_files_names_and_attributes_are_bounded(
    launcher: Launcher, observed: Callable[[str], None]
) -> None:
    plant = """
def attributes(path):
    n = 0
    while isinstance(last := raw(NR.setxattr, path, b'user.%d' % n, bytes(4096), 4096, 0), int): n += 1
    return last
for name in ('one', 'two'): open(name, 'w').close()
result = [attributes(b'one'), raw(NR.setxattr, b'one', b'trusted.x', b'x', 1, 0)]
capability = b'\\1\\0\\0\\2' + bytes(16)
result.append(raw(NR.setxattr, b'one', b'security.capability', capability, len(capability), 0))
acl = bytes.fromhex(
    '02000000' '01000000ffffffff' '02000700e8030000' '04000000ffffffff' '10000000ffffffff' '20000000ffffffff'
)
os.unlink('one')
result.append(raw(NR.setxattr, b'two', b'system.posix_acl_access', acl, len(acl), 0))  # denies its owner
n = 0
name = b'/workspace/%d' + b'n' * 240
while isinstance(last := raw(NR.mknodat, -100, name % n, 0o100644, 0), int): n += 1
result += [last, n]
"""
    async with open_session(launcher, MORE) as attacker:
        many, trusted, capability, acl, last, count = await attacker.value(plant)
        assert many in ("ENOSPC", "EOPNOTSUPP", "E2BIG")
        assert (trusted, capability) == ("EPERM", "EPERM")
        assert acl in (0, "EOPNOTSUPP", "EINVAL", "EPERM")
        assert "ENOSPC" == last
        assert MORE.disk_inodes - 32 < count < MORE.disk_inodes
        before, started = outside.resident_bytes(), time.process_time()
        final = await attacker.finish()
        took = time.process_time() - started
        assert took < 2.0
        assert outside.resident_bytes() - before < 32 * MIB
        assert MORE.final_state_files >= len(final.files)
        assert MAX_REJECTED + 1 >= len(final.rejected)
    observed(f"ENOSPC; xattrs {many}; captured in {took * 1000:.0f} ms within all bounds")


async def test_row_45_a_file_that_grows_and_shrinks_is_frozen_before_it_is_read(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    change = """
def changing():
    fd = os.open('/workspace/file', os.O_CREAT | os.O_RDWR)
    while True:
        os.pwrite(fd, b'x' * 70_000, 0)
        os.ftruncate(fd, 10)
daemon(changing)
result = None
"""
    await attacker.value(DAEMON + change)
    await until(lambda: outside.used_disk(attacker.box)[0] > 0)
    final = await attacker.finish()
    captured = final.files["file"].data
    assert set(captured) <= set(b"x")
    assert captured == outside.content_of(attacker.box, "file")
    again, _ = capture_tree(attacker.box._tree, b"workspace", LIMITS)
    assert final.files == again
    observed("two readings after the kill are the same")


async def test_row_46_closed_folders_and_renamed_mounts_hinder_neither_capture_nor_cleanup(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    close = """
import fcntl, struct
os.makedirs('closed/below')
open('closed/below/file', 'w').write('x')
open('fixed', 'w').write('y')
immutable = struct.pack('l', 0x10)
result = {'immutable': attempt(lambda: fcntl.ioctl(os.open('fixed', os.O_RDONLY), 0x40086602, immutable))}
for path in ('/workspace', '/tmp', '/dev/shm', '/proc'):
    result['rename', path] = raw(NR.renameat2, -100, path.encode(), -100, b'/workspace/moved', 0)
    result['rename over', path] = raw(NR.renameat2, -100, b'/workspace/closed', -100, path.encode(), 0)
    result['rmdir', path] = raw(NR.unlinkat, -100, path.encode(), 0x200)
for path in ('fixed', 'closed/below/file', 'closed/below', 'closed', '/workspace'):
    os.chmod(path, 0)
"""
    answers = await attacker.value(close)
    assert set(answers.values()) <= {
        "EPERM",
        "EACCES",
        "EBUSY",
        "EROFS",
        "EXDEV",
        "EOPNOTSUPP",
        "ENOTTY",
        "ENOTEMPTY",
    }, answers
    final = await attacker.finish()
    assert {} == reasons(final)
    assert {"closed/below/file": b"x", "fixed": b"y"} == {
        path: file.data for path, file in final.files.items()
    }
    observed(f"{'/'.join(sorted(set(answers.values())))}; all captured")


async def test_row_47_the_next_session_finds_nothing_of_the_last(
    launcher: Launcher, observed: Callable[[str], None]
) -> None:
    places = (
        "/workspace",
        "/tmp",
        "/dev/shm",
        "/var/tmp",
        "/run/lock",
        "/run",
        "/var/lock",
        "/opt",
        "/dev/mqueue",
    )
    leave = f"result = {{p: attempt(lambda: open(p + '/left', 'w').write('x')) for p in {places}}}"
    async with open_session(launcher) as attacker:
        answers = await attacker.value(leave)
        assert {"/workspace", "/tmp", "/dev/shm"} == {place for place, told in answers.items() if told == 1}
        assert set(answers.values()) <= {1, "EROFS", "ENOENT", "EACCES"}
        assert "EPERM" == await attacker.raw("shmget", 42, 4096, 0o1666)
        user = outside.status_of(outside.init_of(attacker.box))["Uid"]
        await attacker.finish()
    launcher._free_ids.rotate(1)  # as if all others were taken: the next session is the same user
    async with open_session(launcher) as next_one:
        assert user == outside.status_of(outside.init_of(next_one.box))["Uid"]
        look = f"result = [p for p in {places} if os.path.exists(p + '/left')]"
        assert [] == await next_one.value(look)
        assert [[], [], []] == await next_one.value(f"result = [os.listdir(p) for p in {places[:3]}]")
    observed("gone; elsewhere " + "/".join(sorted(set(map(str, answers.values())) - {"1"})))


async def test_row_48_neither_a_lost_cwd_nor_dots_nor_descriptors_lead_out(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    escape = """
root = os.stat('/')
def is_root(path): found = os.stat(path); return (found.st_dev, found.st_ino) == (root.st_dev, root.st_ino)
result = {
    'dots': is_root('../' * 100),
    'proc': is_root('/proc/self/root'), 'dots of proc': is_root('/proc/self/root/..'),
    'rmdir': raw(NR.rmdir, b'/workspace'), 'chroot': raw(NR.chroot, b'/workspace'),
    'pivot_root': raw(NR.pivot_root, b'/workspace', b'/workspace'),
    'root of init': attempt(os.open, '/proc/1/root', os.O_PATH),
    'cwd of init': attempt(os.listdir, '/proc/1/cwd'),
}
top = os.open('/', os.O_RDONLY)
os.makedirs('gone')
os.chdir('gone')
os.rmdir('/workspace/gone')
result['deleted'] = attempt(os.getcwd)
deleted = attempt(is_root, '..')
result['dots of deleted'] = 'ENOENT' if deleted is False else deleted
raw(NR.fchdir, top)
result['dots of descriptor'] = is_root('../..')
targets = [attempt(os.readlink, '/proc/self/fd/' + number) for number in os.listdir('/proc/self/fd')]
result['descriptors'] = sorted({target.partition(':')[0] for target in targets})
os.close(top)
os.chdir('/workspace')
"""
    answers = await attacker.value(escape)
    descriptors = answers.pop("descriptors")
    assert set(descriptors) <= {"/", "/dev/null", "pipe", "ENOENT"}  # ENOENT: that of the listing itself
    assert {name: True for name, told in answers.items() if told is True} == dict.fromkeys(
        ("dots", "proc", "dots of proc", "dots of descriptor"), True
    )
    refusals = {told for told in answers.values() if told is not True}
    assert refusals <= {"EPERM", "EBUSY", "EROFS", "EACCES", "ENOENT"}, answers
    inside = [outside.init_of(attacker.box), *outside.processes(attacker.box)]
    for pid in inside:
        assert {outside.link_of(pid, "root"), outside.link_of(pid, "cwd")} <= {"/", "/workspace"}
    assert await attacker.is_well()
    observed(f"always the same root; {'/'.join(sorted(refusals))}")


async def test_row_49_a_link_planted_where_the_server_writes_leads_nowhere_else(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    before = fingerprint("/etc/passwd", "/etc")
    await attacker.bash(
        "ln -s /etc/passwd upload; ln -s /etc folder; ln -s upload twice; ln -s /proc/self/mem mem; "
        "mkfifo pipe; ln -s /proc/1/root/etc/passwd init; ln -s /usr/bin/env env"
    )
    told: dict[str, str] = {}
    for path in ("upload", "folder/evil", "twice", "env", "init", "pipe", "../etc/evil", "/etc/evil", "mem"):
        try:
            await write_file(attacker.box, path, b"evil")
            told[path] = "written"
        except SeedError as error:
            told[path] = str(error).rpartition(": ")[2]
    assert "written" not in told.values(), told
    assert before == fingerprint("/etc/passwd", "/etc")
    await attacker.bash("ln -s /tmp/mine own")
    await write_file(attacker.box, "own", b"written")  # a link within the session is the session's own affair
    assert "written\n" == (await attacker.bash("cat /tmp/mine; echo")).stdout
    final = await attacker.finish()
    assert {} == final.files
    observed("refused, " + f"{len(told)} of {len(told)}")


def hostile_archive() -> bytes:
    """Return a tar archive whose members want to be elsewhere."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:

        def add(
            name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b"evil", mode: int = 0o644
        ) -> None:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode = kind, link, mode
            member.size = len(data) if kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(data) if kind == tarfile.REGTYPE else None)

        add("../../../etc/evil")
        add("/etc/evil")
        add("/usr/bin/evil", mode=0o4755)
        add("out", tarfile.SYMTYPE, "/etc")
        add("out/evil")
        add("passwd", tarfile.SYMTYPE, "/etc/passwd")
        add("hard", tarfile.LNKTYPE, "/etc/passwd")
        add("fifo", tarfile.FIFOTYPE)
        add("honest", data=b"honest")
    return packed.getvalue()


@pytest.mark.parametrize("unpacker", ["tar", "tarfile"])
async def test_row_50_an_archive_with_members_that_lead_out_writes_nothing_outside(
    attacker: Attacker, unpacker: str, observed: Callable[[str], None]
) -> None:
    before = fingerprint("/etc/passwd", "/etc", "/usr/bin")
    await write_file(attacker.box, "a.tar", hostile_archive())
    if unpacker == "tar":
        unpacked = await attacker.bash("tar --absolute-names --keep-directory-symlink -xf a.tar; rm a.tar")
        assert "Cannot open" in unpacked.stderr or "Read-only" in unpacked.stderr
    else:
        code = """
import tarfile
result = {}
with tarfile.open('a.tar') as archive:
    for member in archive:
        more = {'filter': 'fully_trusted'} if hasattr(tarfile, 'fully_trusted_filter') else {}
        result[member.name] = attempt(archive.extract, member, '/workspace', **more)
os.unlink('a.tar')
"""
        answers = await attacker.value(code)
        assert {"EROFS", "EACCES"} >= {
            answers["/etc/evil"],
            answers["../../../etc/evil"],
            answers["out/evil"],
        }
    assert before == fingerprint("/etc/passwd", "/etc", "/usr/bin")
    assert ["ENOENT"] * 2 == await attacker.value(
        "result = [attempt(os.stat, p) for p in ('/etc/evil', '/usr/bin/evil')]"
    )
    final = await attacker.finish()
    assert {"honest": b"honest"} == {
        path: file.data for path, file in final.files.items() if path == "honest"
    }
    assert "evil" not in {path.rpartition("/")[2] for path in final.files}
    assert {"symbolic link", "FIFO"} <= set(reasons(final).values())
    observed("EROFS inside; links and FIFOs rejected")
