"""Beyond the rows: the verdict of the policy for every system call there is, by number.

The table is `syscalls.txt`. For both architectures it is compared with what the compiled program answers, run
by the interpreter in `tests.attacks.kernel`; where arguments decide, with a second, plain statement of the
rules, which stands below. On the machine's own architecture a live session is asked as well.
"""

from __future__ import annotations

import itertools
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyseccomp
import pytest

from sandbox.syscall_filter import compile_policy
from tests.attacks.kernel import ALLOW, AUDIT_ARCH, KILL, Program

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.attacks.attacker import Attacker

EPERM, ENOSYS, EAFNOSUPPORT, DONE = "EPERM", "ENOSYS", "EAFNOSUPPORT", "done"
ENOTSUP = "ENOTSUP"  # how Python names EOPNOTSUPP
LAST = 600
"""Well above the newest call of any kernel there is."""


def read_table() -> dict[str, dict[int, tuple[str, str]]]:
    """Return architecture → number → name and verdict."""
    table: dict[str, dict[int, tuple[str, str]]] = {machine: {} for machine in AUDIT_ARCH}
    for row in Path(__file__).with_name("syscalls.txt").read_text().splitlines():
        if row and not row.startswith("#"):
            x86, arm, name, verdict = row.split()
            for machine, number in (("x86_64", x86), ("aarch64", arm)):
                if number != "-":
                    table[machine][int(number)] = (name, verdict)
    return table


TABLE = read_table()


def is_known(machine: str, name: str) -> bool:
    """Whether the libseccomp at hand has the name: an older one's policy lacks the newest calls."""
    return int(pyseccomp.resolve_syscall(getattr(pyseccomp.Arch, machine.upper()), name)) >= 0


@pytest.fixture(name="program", params=itertools.product(AUDIT_ARCH, (False, True), (False, True)),
                ids=lambda p: p[0] + ", loopback" * p[1] + ", cgroup" * p[2])  # fmt: skip
def _program(request: pytest.FixtureRequest) -> tuple[str, bool, bool, Program]:
    machine, loopback, cgroup = request.param
    compiled = compile_policy(loopback=loopback, memory_cgroup=cgroup, machine=machine)
    return machine, loopback, cgroup, Program(compiled)


def test_each_number_has_the_verdict_of_the_table(program: tuple[str, bool, bool, Program]) -> None:
    machine, _, _, compiled = program
    wrong: dict[int, tuple[str, str, str]] = {}
    for number in range(LAST):
        name, verdict = TABLE[machine].get(number, ("a call that is not listed", ENOSYS))
        if verdict == "args":
            continue
        if verdict != ENOSYS and not is_known(machine, name):
            verdict = ENOSYS
        for argument in (0, 1, (1 << 64) - 1):
            found = compiled.verdict(AUDIT_ARCH[machine], number, *[argument] * 6)
            if found != verdict:
                wrong[number] = (name, verdict, found)
    assert {} == wrong


def test_numbers_that_no_kernel_has_are_absent_and_foreign_ones_kill(
    program: tuple[str, bool, bool, Program],
) -> None:
    machine, _, _, compiled = program
    for number in (*range(LAST, 5000), 1 << 20, 0x3FFFFFFF, 0x7FFFFFFF if machine == "aarch64" else 4096):
        assert ENOSYS == compiled.verdict(AUDIT_ARCH[machine], number), number
    foreign = (0x40000003, 0x40000028, 0xC00000B7 if machine == "x86_64" else 0xC000003E, 0, 0xFFFFFFFF)
    for architecture, number in itertools.product(foreign, (0, 1, 11, 59, 63, 221)):
        assert KILL == compiled.verdict(architecture, number)
    if machine == "x86_64":
        x32 = [
            compiled.verdict(AUDIT_ARCH[machine], 0x40000000 | number) for number in (0, 1, 39, 59, 512, 547)
        ]
        assert x32 in ([KILL] * 6, [ENOSYS] * 6)
        assert compiled.verdict(AUDIT_ARCH[machine], 0xFFFFFFFF) in (
            KILL,
            ENOSYS,
        )  # -1: what a tracer sets to skip a call


# The calls that arguments decide, said once more, in Python.

LOW = 0xFFFFFFFF
NEW_ANY = 0x80 | 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x10000000 | 0x20000000 | 0x40000000
PRCTL = {1, 2, 3, 4, 15, 16, 21, 23, 29, 30, 36, 37, 38, 39, 40, 41, 42, 0x53564D41}
IOCTL = {0x5401, 0x5402, 0x5403, 0x5404, 0x540F, 0x5410, 0x5413, 0x5414, 0x541B, 0x5421, 0x5450, 0x5451,
    0x5452,
         0x40049409, 0x4020940D, 0x80086601, 0x40086602, 0xC020660B}  # fmt: skip
FCNTL = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 16, 36, 37, 38, 1025, 1030, 1031, 1032, 1033, 1034}
SOCKET_OPTIONS = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 18, 19, 20, 21, 29, 34, 35}
LOOPBACK_OPTIONS = {
    0: {0, 1, 2, 8, 10, 11, 12, 13, 24},
    6: {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 18, 25},
    41: {0, 16, 23, 25, 26, 49, 51, 66, 67},
}
RLIMITS, RLIMIT_CORE = 16, 4


def expected(name: str, arguments: tuple[int, ...], *, loopback: bool, cgroup: bool) -> str:  # noqa: C901, PLR0911, PLR0912
    """Return what the policy must answer."""
    a, b, c, d = (*arguments, 0, 0, 0, 0)[:4]
    if name == "clone":
        return ENOSYS if a & NEW_ANY else ALLOW
    if name == "personality":
        return ALLOW if a & LOW == LOW else ENOSYS
    if name == "prctl":
        return ALLOW if a & LOW in PRCTL else ENOSYS
    if name == "ioctl":
        return ALLOW if b & LOW in IOCTL or (loopback and 0x8910 <= b & LOW < 0x8946) else ENOSYS
    if name == "fcntl":
        return ALLOW if b & LOW in FCNTL else ENOSYS
    if name in ("socket", "socketpair"):
        return ALLOW if a in ({1, 2, 10} if loopback else {1}) else EAFNOSUPPORT
    if name == "setsockopt":
        return (
            ALLOW if c in {**(LOOPBACK_OPTIONS if loopback else {}), 1: SOCKET_OPTIONS}.get(b, ()) else ENOSYS
        )
    if name == "preadv2":
        return ENOTSUP if arguments[5] & 8 else ALLOW
    if name == "memfd_create":
        return ALLOW if cgroup and not b & 4 else ENOSYS
    if name == "mmap":
        shared_anonymous = not cgroup and d & 0x21 == 0x21
        return ENOSYS if d & 0x40000 or shared_anonymous else ALLOW
    if name == "setrlimit":
        return DONE if a == RLIMIT_CORE else ALLOW if a < RLIMITS else ENOSYS
    if name == "prlimit64":
        if a != 0:
            return EPERM
        if b == RLIMIT_CORE:
            return DONE if c else ALLOW
        return ALLOW if b < RLIMITS else ENOSYS
    if name in ("setpriority", "ioprio_set"):
        return ALLOW if (a, b) == ({"setpriority": 0, "ioprio_set": 1}[name], 0) else EPERM
    if name in ("sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler"):
        return EPERM if a else ALLOW
    raise KeyError(name)


DECIDING = {  # the places of the arguments that decide
    "clone": (0,), "personality": (0,), "prctl": (0,), "ioctl": (1,), "fcntl": (1,), "socket": (0,),
    "socketpair": (0,), "setsockopt": (1, 2), "memfd_create": (1,), "mmap": (3,), "setrlimit": (0,),
    "prlimit64": (0, 1, 2), "setpriority": (0, 1), "ioprio_set": (0, 1), "sched_setaffinity": (0,),
    "preadv2": (5,),
    "sched_setattr": (0,), "sched_setparam": (0,), "sched_setscheduler": (0,),
}  # fmt: skip
SMALL = tuple(range(-2, 72))


def values(program: Program, places: int) -> list[int]:
    """Return what is worth trying for each argument: fewer where several are combined."""
    if places == 1:
        return [low | high << 32 for low in program.interesting() for high in (0, 1, 0x80000000, LOW)]
    words = SMALL if places == 2 else (-1, 0, 1, 2, 3, 4, 5, 15, 16)
    return [(word & LOW) | high << 32 for word in words for high in (0, 1, LOW)]


def test_arguments_decide_as_the_plain_rules_say(program: tuple[str, bool, bool, Program]) -> None:
    machine, loopback, cgroup, compiled = program
    listed = {name: number for number, (name, verdict) in TABLE[machine].items() if verdict == "args"}
    assert set(DECIDING) == set(listed)
    tried, wrong = 0, {}
    for name, number in listed.items():
        places = DECIDING[name]
        for combination in itertools.product(values(compiled, len(places)), repeat=len(places)):
            arguments = [0] * 6
            for place, value in zip(places, combination, strict=True):
                arguments[place] = value
            found = compiled.verdict(AUDIT_ARCH[machine], number, *arguments)
            tried += 1
            if found != expected(name, tuple(arguments), loopback=loopback, cgroup=cgroup):
                wrong[name, combination] = found
    assert {} == wrong
    assert tried > 10_000


# Without namespaces.

NO_NETWORK = {"accept", "accept4", "bind", "connect", "listen"}
NO_FILES_OF_ITS_OWN = {
    "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "utime", "utimes",
    "utimensat", "futimesat", "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr",
    "fremovexattr",
}  # fmt: skip
STREAM, SEQPACKET, CLOEXEC = 1, 5, 0o2000000


@pytest.mark.parametrize("machine", AUDIT_ARCH)
@pytest.mark.parametrize("own_files", [True, False])
def test_without_namespaces_just_this_is_withheld(machine: str, own_files: bool) -> None:
    withheld = NO_NETWORK | (set() if own_files else NO_FILES_OF_ITS_OWN)
    usual = Program(compile_policy(loopback=False, memory_cgroup=True, machine=machine))
    plain = Program(
        compile_policy(
            loopback=False, memory_cgroup=True, machine=machine, own_network=False, own_files=own_files
        )
    )
    architecture = AUDIT_ARCH[machine]
    for number, (name, _) in TABLE[machine].items():
        if name in ("socket", "socketpair", "ioctl"):
            continue
        wanted = usual.verdict(architecture, number)
        if name in withheld and is_known(machine, name):
            assert (ALLOW, EPERM) == (wanted, plain.verdict(architecture, number)), name
        else:
            assert wanted == plain.verdict(architecture, number), name
    numbers = {name: number for number, (name, _) in TABLE[machine].items()}
    for family in range(48):
        assert EAFNOSUPPORT == plain.verdict(architecture, numbers["socket"], family, STREAM)
    for family, kind, flags in itertools.product(range(48), range(16), (0, CLOEXEC)):
        verdict = plain.verdict(architecture, numbers["socketpair"], family, kind | flags)
        assert (verdict == ALLOW) == (family == 1 and kind in (STREAM, SEQPACKET)), (family, kind)
    for request in IOCTL:
        refused = request == 0x40086602 and not own_files  # sets attributes of a file
        verdict = plain.verdict(architecture, numbers["ioctl"], 0, request)
        assert verdict == (EPERM if refused else ALLOW)


# Live.

UNSAFE_TO_TRY = {"fork", "vfork", "clone"}
"""They return twice; rows 1 and 57 try them."""

ABSENT_IN_THE_KERNEL = {"epoll_ctl_old", "get_thread_area", "set_thread_area"}
"""Numbers that every x86-64 kernel answers with ENOSYS itself."""


NEVER_FILTERED = {335, 336} if platform.machine() == "x86_64" else set[int]()
"""uretprobe and uprobe: recent kernels let them pass every filter, for their own trampolines make them, and
kill or refuse whoever else does."""


@pytest.mark.skipif(platform.machine() not in TABLE, reason=f"no table for {platform.machine()}")
async def test_a_live_session_answers_each_number_as_the_table_says(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    machine = platform.machine()
    verdicts = {number: TABLE[machine].get(number, ("", ENOSYS)) for number in range(LAST)}
    refused = [
        number
        for number, (_, verdict) in verdicts.items()
        if verdict in (ENOSYS, EPERM, DONE) and number not in NEVER_FILTERED
    ]
    answers: dict[int, Any] = await attacker.value(
        f"result = {{number: raw(number, -1, -1, -1, -1, -1, -1) for number in {refused}}}"
    )
    assert {
        number: 0 if verdicts[number][1] == DONE else verdicts[number][1] for number in refused
    } == answers
    allowed = [
        number
        for number, (name, verdict) in verdicts.items()
        if verdict == ALLOW and name not in UNSAFE_TO_TRY
    ]
    reached: dict[int, Any] = await attacker.value(f"""
import signal
def reach(number, word):
    'Whether the kernel itself answers: ENOSYS in a child is 1, anything else, even its death, is 0.'
    pid = os.fork()
    if pid == 0:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        os._exit(raw(number, *[word] * 6) == 'ENOSYS')
    return os.waitpid(pid, 0)[1] != 256
def killed_or_refused(number):
    pid = os.fork()
    if pid == 0: os._exit(0 if isinstance(raw(number, 0, 0, 0, 0, 0, 0), str) else 1)
    status = os.waitpid(pid, 0)[1]
    return status == 0 or os.WIFSIGNALED(status)
result = {{number: reach(number, -1) or reach(number, 0) for number in {allowed}}}
trampolines = [killed_or_refused(number) for number in {sorted(NEVER_FILTERED)}]
""")
    assert all(await attacker.value("result = trampolines"))
    silent = {verdicts[number][0] for number, answered in reached.items() if not answered}
    assert silent <= ABSENT_IN_THE_KERNEL | {name for name in silent if not is_known(machine, name)}
    observed(f"{len(refused)} refused, {len(allowed) - len(silent)} reach the kernel")
