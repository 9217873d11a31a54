"""Beyond the rows: the exact posture of a session, so that any drift fails a test and has to be looked at.

What is compared comes from outside, of init, of each lane and of the shell; what can be read and written is
found out by an attacker who tries everything.
"""

from __future__ import annotations

import os
import resource
import stat
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.cage_plan import make_plan
from sandbox.interpreter import find_interpreter
from sandbox.launcher import Launcher, open_launcher
from sandbox.linux import landlock
from tests.attacks import attacker as outside
from tests.attacks.attacker import LIMITS, PROFILE
from tests.attacks.kernel import descriptors, namespaces, proc
from tests.sandbox.ranges import no_range, with_a_range

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.attacks.attacker import Attacker


@pytest.fixture(
    name="launcher",
    params=["as granted", pytest.param("without a range", marks=with_a_range)],
)
async def _launcher(request: pytest.FixtureRequest) -> AsyncIterator[Launcher]:
    """Give a launcher whose sessions have ids of their own if they can, and one whose sessions have not."""
    with no_range() if request.param == "without a range" else nullcontext():
        async with open_launcher() as launcher:
            yield launcher


@pytest.fixture(name="session")
async def _session(attacker: Attacker) -> Attacker:
    """Give a session with all of its lanes started, and a shell and a program below it."""
    await attacker.value("result = 1")
    await attacker.box.call("list_files", {})
    await attacker.bash("sleep 600 &")
    await outside.until(lambda: "sleep\n" in [proc(pid, "comm") for pid in outside.processes(attacker.box)])
    return attacker


def lanes(attacker: Attacker) -> dict[str, int]:
    return {name: lane.process.pid() for name, lane in sorted(attacker.box._lanes.items())}


def everybody(attacker: Attacker) -> dict[str, int]:
    """Return role → pid of each process of the session."""
    init, of_lanes = outside.init_of(attacker.box), lanes(attacker)
    shell, program = (pid for pid in outside.processes(attacker.box) if pid not in of_lanes.values())
    return {
        "init": init,
        **{f"lane {name}": pid for name, pid in of_lanes.items()},
        "shell": shell,
        "program": program,
    }


def test_the_session_has_the_three_lanes_of_the_shipped_tools() -> None:
    assert ["bash", "python", "tools"] == sorted({handler.lane for handler in PROFILE.handlers})


async def test_privileges_are_none_and_locked(session: Attacker, launcher: Launcher) -> None:
    golden = {
        "NoNewPrivs": "1",
        "Seccomp": "2",
        "Seccomp_filters": "1",
        **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0" * 16),
        "TracerPid": "0",
        "Threads": "1",
        "Umask": "0022",
        "SigBlk": "0" * 16,
        "SigPnd": "0" * 16,
        "CoreDumping": "0",
    }
    users = set()
    for role, pid in everybody(session).items():
        status = outside.status_of(pid)
        assert golden == {name: status[name] for name in golden}, role
        assert status["Uid"] == status["Gid"]
        users |= set(status["Uid"].split())
    (user,) = users
    if launcher.ids is not None:
        assert launcher.ids.first <= int(user) < launcher.ids.first + launcher.ids.count
        assert {""} == {outside.status_of(pid)["Groups"] for pid in everybody(session).values()}
    else:
        assert os.geteuid() == int(user)
    for pid in everybody(session).values():
        for name in ("uid_map", "gid_map"):
            assert ["1000", user, "1"] == proc(pid, name).split()
        assert "deny" == proc(pid, "setgroups").strip()


async def test_signals_are_as_the_kernel_has_them_but_for_what_python_ignores(session: Attacker) -> None:
    ignored = {role: int(outside.status_of(pid)["SigIgn"], 16) for role, pid in everybody(session).items()}
    caught = {role: int(outside.status_of(pid)["SigCgt"], 16) for role, pid in everybody(session).items()}
    python = 1 << (2 - 1) | 1 << (13 - 1) | 1 << (25 - 1)  # SIGINT between calls, SIGPIPE, SIGXFSZ
    # The C library ignores its own two in whatever it spawns, and a server may have been spawned.
    internal = 1 << (32 - 1) | 1 << (33 - 1)
    ignored = {role: signals & ~internal for role, signals in ignored.items()}
    assert (0, 1 << (17 - 1)) == (ignored["init"], caught["init"])  # SIGCHLD
    assert {python} == {ignored[role] for role in ignored if role.startswith("lane")}
    assert {0} == {caught[role] for role in caught if role.startswith("lane")}
    assert 0 == caught["program"]


NAMESPACES = [
    "cgroup",
    "ipc",
    "mnt",
    "net",
    "pid",
    "pid_for_children",
    "time",
    "time_for_children",
    "user",
    "uts",
]
OWN = {"cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "user", "uts"}


async def test_namespaces_are_one_set_for_the_session_and_shared_with_nobody(
    session: Attacker, neighbour: Attacker
) -> None:
    sets = {role: namespaces(pid) for role, pid in everybody(session).items()}
    init = sets["init"]
    assert NAMESPACES == list(init)
    for role, own in sets.items():
        assert init == own, role
    zygote = outside.parent_of(outside.init_of(session.box))
    for other in ("self", outside.init_of(neighbour.box), zygote, outside.parent_of(zygote)):
        theirs = namespaces(other)
        assert OWN == {name for name in NAMESPACES if init[name] != theirs[name]}, other


async def test_limits_are_exactly_these(session: Attacker) -> None:
    hard_core = resource.getrlimit(resource.RLIMIT_CORE)[1]
    core = "0" if hard_core == 0 else "1"
    golden = {
        "Max core file size": [core, core],
        "Max stack size": [str(8 << 20), str(64 << 20)],
        "Max processes": [str(LIMITS.processes)] * 2,
        "Max open files": ["1024"] * 2,
        "Max locked memory": ["0"] * 2,
        "Max pending signals": ["256"] * 2,
        "Max msgqueue size": ["0"] * 2,
        "Max nice priority": ["0"] * 2,
        "Max realtime priority": ["0"] * 2,
    }
    ours = limits_of("self")
    for role, pid in everybody(session).items():
        found = limits_of(pid)
        # Init keeps the server's, more than a lane: see `_limit_descriptors` there.
        golden["Max open files"] = ours["Max open files"] if role == "init" else ["1024"] * 2
        assert golden == {name: found[name] for name in golden}, role
        for name in set(found) - set(golden):  # as the server has them, so that an operator can set them
            assert ours[name][1] == found[name][1], name


def limits_of(pid: int | str) -> dict[str, list[str]]:
    rows = proc(pid, "limits").splitlines()[1:]
    return {row[:26].strip(): row[26:].split()[:2] for row in rows}


async def test_scores_and_groups_make_the_kernel_choose_a_lane(session: Attacker) -> None:
    own = int(proc("self", "oom_score_adj"))
    scores = {role: int(proc(pid, "oom_score_adj")) for role, pid in everybody(session).items()}
    assert max(own, 0) == scores.pop("init")
    assert {max(own, 500)} == set(scores.values())
    groups = {proc(pid, "cgroup") for pid in everybody(session).values()}
    assert 1 == len(groups)
    if session.box._group is not None:
        assert "/creche-" in groups.pop()


async def test_descriptors_are_exactly_these(session: Attacker) -> None:
    for name, pid in lanes(session).items():
        held = descriptors(pid)
        assert "/dev/null" == held.pop(0), name
        assert ["pipe"] * 4 == [held.pop(fd).partition(":")[0] for fd in (1, 2, 3, 4)], name
        rest = sorted(kind_of(target) for target in held.values())
        # The bash tool's own: the shell's input and status, its pidfd, and the script.
        assert rest == ([] if name != "bash" else ["anon_inode:[pidfd]", "pipe", "pipe", "script"])
    shell = descriptors(everybody(session)["shell"])
    assert {"/dev/null", "pipe", "script"} == {kind_of(target) for target in shell.values()}
    assert {0, 1, 2} <= set(shell)
    program = descriptors(everybody(session)["program"])
    assert {0, 1, 2} == set(program) & {0, 1, 2, 3, 4}
    assert {"/dev/null", "pipe", "script"} >= {kind_of(target) for target in program.values()}
    init = descriptors(outside.init_of(session.box))
    assert ["/dev/null"] * 3 == [init.pop(fd) for fd in (0, 1, 2)]
    # The line, the two ends of the pipe that wakes it, and the score that lanes shall inherit.
    assert ["pipe", "pipe", "score", "socket"] == sorted(kind_of(target) for target in init.values())


def kind_of(target: str) -> str:
    if target.startswith(("pipe:", "socket:")):
        return target.partition(":")[0]
    if target.startswith(("/memfd:command", "/tmp/")):
        return "script"
    if target.endswith("/oom_score_adj"):
        return "score"
    return "anon_inode:[pidfd]" if target.startswith("pidfd:") or "pidfd" in target else target


ENVIRONMENT = {
    "PATH": "BIN/usr/local/bin:/usr/bin:/bin",
    "HOME": "/workspace",
    "USER": "creche",
    "LOGNAME": "creche",
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "TMPDIR": "/tmp",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": "/tmp/matplotlib",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_NUM_THREADS": "1",
}


def has_shared_library(prefix: str) -> bool:
    return any(Path(prefix, "lib").glob("libpython3*.so*"))


def variables(rows: list[str]) -> dict[str, str]:
    return {name: value for name, _, value in (row.partition("=") for row in rows)}


async def test_the_environment_is_exactly_this(session: Attacker, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = dict(ENVIRONMENT)
    # An interpreter outside /usr brings its folder of programs, and its library if it has a shared one.
    elsewhere = not find_interpreter(None).prefix.startswith("/usr")
    golden["PATH"] = golden["PATH"].replace("BIN", "/opt/python/bin:" if elsewhere else "")
    golden["PATH"] = ":".join(dict.fromkeys(golden["PATH"].split(":")))
    if elsewhere and has_shared_library(find_interpreter(None).prefix):
        golden["LD_LIBRARY_PATH"] = "/opt/python/lib"
    for name, pid in lanes(session).items():
        found = variables(proc(pid, "environ").rstrip("\0").split("\0"))
        if not elsewhere:
            found["PATH"] = ":".join(dict.fromkeys(found["PATH"].split(":")))
            golden["PATH"] = found["PATH"]
        assert golden == found, name
    seen = await session.bash("env")
    shells = variables(seen.stdout.splitlines())
    added = {name: shells[name] for name in set(shells) - set(golden)}
    assert {"PWD", "SHLVL", "_"} == set(added)
    assert golden == {name: shells[name] for name in golden}


async def test_the_mounts_are_exactly_these(session: Attacker, launcher: Launcher) -> None:
    plan = make_plan(PROFILE, ids=launcher.ids, memory_cgroup=True, landlock=0)
    read_only: dict[str, str | None] = {
        "/": "overlay",
        **{tree["target"]: "overlay" for tree in plan["trees"]},
        **dict.fromkeys(plan["masks"], "tmpfs"),
        "/dev": "tmpfs",
    }
    if not launcher.host.privileged:
        read_only |= {f"/dev/{name}": None for name in ("null", "zero", "full", "random", "urandom")}
    shared = "rw,nosuid,nodev"
    golden = [
        *((point, "ro", kind) for point, kind in read_only.items()),
        ("/proc", "rw,nosuid,nodev,noexec", "proc"),
        ("/tmp", shared, "tmpfs"),  # the session's one tree, covered by its folder tmp
        ("/tmp", shared, "tmpfs"),
        ("/workspace", shared, "tmpfs"),
        ("/dev/shm", shared, "tmpfs"),
    ]
    assert session.box.posture.locks == "own"
    found, options = [], {}
    for row in proc(outside.init_of(session.box), "mountinfo").splitlines():
        left, _, right = row.partition(" - ")
        point, flags = left.split()[4:6]
        kind, _, of_file_system = right.split(" ", 2)
        given = set(flags.split(",")) - {"relatime", "noatime"}
        assert "nosuid" in given
        if "ro" in given:
            found.append((point, "ro", kind if read_only.get(point) else None))
            assert {"ro", "nosuid"} <= given
            assert "nodev" in given or point.startswith("/dev"), row
        else:
            found.append(
                (point, ",".join(flag for flag in ("rw", "nosuid", "nodev", "noexec") if flag in given), kind)
            )
        assert not left.split()[6:], f"{point} takes part in mount propagation: {left.split()[6:]}"
        options[point] = of_file_system
    assert sorted(golden, key=str) == sorted(found, key=str)
    assert "subset=pid" in options["/proc"]
    size, inodes = f"size={LIMITS.disk_bytes // 1024}k", f"nr_inodes={LIMITS.disk_inodes}"
    assert all(
        size in options[point] and inodes in options[point] for point in ("/tmp", "/workspace", "/dev/shm")
    )
    roots = {mountpoints(pid) for pid in everybody(session).values()}
    assert 1 == len(roots)


def mountpoints(pid: int) -> str:
    return proc(pid, "mountinfo")


# What can be read and written, found out by trying.

WALK = """
import stat
def can(path, flags):
    file = attempt(os.open, path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    if isinstance(file, str): return False
    try:
        if flags == os.O_RDONLY: os.read(file, 1)
        return True
    except IsADirectoryError:
        return isinstance(attempt(os.listdir, path), list)
    except OSError as error:
        return error.errno not in (1, 13)  # some files open and then withhold what they hold
    finally:
        os.close(file)
def modes(top):
    found = {}
    for name in sorted(os.listdir(top)):
        path = top + '/' + name
        if os.path.isdir(path) and not os.path.islink(path):
            found[name + '/'] = 'r' if isinstance(attempt(os.listdir, path), list) else '-'
        elif os.path.islink(path):
            found[name + '@'] = '-' if attempt(os.readlink,
                path).isupper() else 'r'  # an errno, or where it points
        else:
            found[name] = ('r' if can(path, os.O_RDONLY) else '-') + ('w' if can(path, os.O_WRONLY) else '-')
    return found
"""


async def test_dev_holds_exactly_these(session: Attacker) -> None:
    listing = await session.value(
        "import stat; kind = lambda path: stat.S_IFMT(os.lstat(path).st_mode)\n"
        "result = {name: kind('/dev/' + name) for name in os.listdir('/dev')}"
    )
    character, link, folder = stat.S_IFCHR, stat.S_IFLNK, stat.S_IFDIR
    devices = dict.fromkeys(("null", "zero", "full", "random", "urandom"), character)
    assert {**devices, **dict.fromkeys(("fd", "stdin", "stdout", "stderr"), link), "shm": folder} == listing
    numbers = await session.value(
        f"result = {{name: divmod(os.stat('/dev/' + name).st_rdev, 256) for name in {sorted(devices)}}}"
    )
    assert {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9)} == numbers
    found = await session.value(
        f"{WALK}\nresult = {{name: (can('/dev/' + name, 0), can('/dev/' + name, 1))"
        f" for name in {sorted(devices)}}}"
    )
    if session.box.posture.landlock:
        assert {
            "full": (True, True),
            "null": (True, True),
            "random": (True, True),
            "urandom": (True, True),
            "zero": (True, False),
        } == found
    else:
        assert {(True, True)} == set(found.values())


async def test_sys_is_not_there(session: Attacker) -> None:
    assert ["ENOENT"] * 3 == await session.value(
        "result = [attempt(os.stat, path) for path in ('/sys', '/sys/fs', '/sys/kernel')]"
    )


def exists(path: str) -> bool:
    return Path(path).exists()


async def test_the_top_of_the_tree_is_exactly_this(session: Attacker) -> None:
    links = [name for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32") if exists(f"/{name}")]
    listing = await session.value(
        "known = 'usr proc dev bin sbin lib lib32 lib64 libx32'.split()\n"
        "result = {name: sorted(os.listdir('/' + name)) for name in os.listdir('/') if name not in known}"
    )
    of_the_host = [name for name in ("alternatives", "ld.so.cache") if exists(f"/etc/{name}")]
    python = ["python"] if not find_interpreter(None).prefix.startswith("/usr") else []
    golden = {
        "etc": sorted([*of_the_host, "group", "hostname", "hosts", "nsswitch.conf", "passwd"]),
        "opt": ["creche", *python, "site-packages"],
        "run": [],
        "var": [],
        "tmp": [],
        "workspace": [],
    }
    assert golden == listing
    everything = await session.value("result = sorted(os.listdir('/'))")
    assert sorted([*golden, *links, "dev", "proc", "usr"]) == everything
    far_side = await session.value(
        "result = {folder: sorted(os.listdir('/opt/creche/' + folder)) for folder in ('.', 'sandbox')}"
    )
    assert {
        ".": ["sandbox", "tools"],
        "sandbox": ["__init__.py", "frames.py", "inside", "linux", "packets.py"],
    } == far_side


async def test_only_these_places_can_be_written(session: Attacker) -> None:
    walk = """
import stat
found = []
for top, folders, files in os.walk('/'):
    if top in ('/proc', '/usr') or top.startswith('/opt/python'): folders[:] = []
    if top == '/':
        folders.remove('proc')
    if attempt(os.mkdir, top + '/.made') == 'done':
        os.rmdir(top + '/.made')
        found.append(top)
    for name in files:
        path = top + '/' + name
        if not os.path.islink(path):
            file = attempt(os.open, path, os.O_WRONLY | os.O_NONBLOCK)
            if not isinstance(file, str):
                os.close(file)
                found.append(path)
result = sorted(set(found))
"""
    devices = ["/dev/full", "/dev/null", "/dev/random", "/dev/urandom"]
    zero = [] if session.box.posture.landlock else ["/dev/zero"]
    assert sorted([*devices, *zero, "/dev/shm", "/tmp", "/workspace"]) == await session.value(walk)


OF_ITSELF = frozenset(
    [
        "arch_status",
        "attr/",
        "autogroup",
        "auxv",
        "cgroup",
        "cmdline",
        "comm",
        "coredump_filter",
        "cpuset",
        "cwd@",
        "environ",
        "exe@",
        "fd/",
        "fdinfo/",
        "gid_map",
        "io",
        "ksm_merging_pages",
        "ksm_stat",
        "limits",
        "loginuid",
        "map_files/",
        "maps",
        "mem",
        "mountinfo",
        "mounts",
        "mountstats",
        "net/",
        "ns/",
        "numa_maps",
        "oom_adj",
        "oom_score",
        "oom_score_adj",
        "pagemap",
        "personality",
        "projid_map",
        "root@",
        "sched",
        "schedstat",
        "sessionid",
        "setgroups",
        "smaps",
        "smaps_rollup",
        "stat",
        "statm",
        "status",
        "syscall",
        "task/",
        "timens_offsets",
        "timers",
        "timerslack_ns",
        "uid_map",
        "wchan",
    ]
)
"""What a process may read of itself in /proc."""

OF_INIT = frozenset(
    [
        "arch_status",
        "attr/",
        "autogroup",
        "cgroup",
        "cmdline",
        "comm",
        "coredump_filter",
        "cpuset",
        "gid_map",
        "limits",
        "loginuid",
        "mountinfo",
        "mounts",
        "net/",
        "oom_adj",
        "oom_score",
        "oom_score_adj",
        "projid_map",
        "sched",
        "schedstat",
        "sessionid",
        "setgroups",
        "stat",
        "statm",
        "status",
        "task/",
        "timens_offsets",
        "uid_map",
        "wchan",
    ]
)
"""What it may read of init: names, numbers and states, none of the memory, the descriptors or the links."""

OF_INIT_BY_ITS_OWNER = frozenset(["fd/", "ns/", "ksm_merging_pages", "ksm_stat", "mountstats"])
"""An ordinary user's sessions own these: which descriptors there are and how often mounts were used."""

CLOSED = frozenset(["clear_refs", "stack"])


async def test_proc_lets_exactly_this_be_read(session: Attacker, launcher: Launcher) -> None:
    top = await session.value("result = sorted(name for name in os.listdir('/proc') if not name.isdigit())")
    assert ["self", "thread-self"] == top
    own = await session.value(f"{WALK}\nresult = modes('/proc/self')")
    inits = await session.value(f"{WALK}\nresult = modes('/proc/1')")
    # A name that is missing is a kernel's option; one that is new has to be looked at, and then listed here.
    assert set(own) <= OF_ITSELF | CLOSED
    assert {name for name, mode in own.items() if "r" in mode} <= OF_ITSELF
    readable = {name for name, mode in inits.items() if "r" in mode}
    assert readable <= (OF_INIT if launcher.gives_users else OF_INIT | OF_INIT_BY_ITS_OWNER)


@pytest.mark.skipif(not landlock.abi(), reason="no Landlock here, which is what forbids it to a file's owner")
async def test_nothing_in_proc_can_be_written(session: Attacker) -> None:
    for folder in ("self", "1", "self/net", "self/attr", "self/ns", "self/fdinfo", "1/attr"):
        found = await session.value(f"{WALK}\nresult = modes('/proc/{folder}')")
        assert [] == [name for name, mode in found.items() if "w" in mode], folder


async def test_the_links_of_init_lead_nowhere(session: Attacker) -> None:
    look = """
result = {}
for folder in ('fd', 'ns', 'map_files'):
    names = attempt(os.listdir, '/proc/1/' + folder)
    for name in names if isinstance(names, list) else ():
        result[folder, name] = [attempt(os.readlink, f'/proc/1/{folder}/{name}'), attempt(os.open,
            f'/proc/1/{folder}/{name}', 0)]
for name in ('cwd', 'root', 'exe'):
    result[name] = [attempt(os.readlink, '/proc/1/' + name), attempt(os.open, '/proc/1/' + name, 0)]
"""
    answers: dict[Any, list[Any]] = await session.value(look)
    # A descriptor that was listed may be closed by now: init gives away those of the lanes that it starts.
    assert {"EACCES"} == {each for found in answers.values() for each in found} - {"ENOENT"}
