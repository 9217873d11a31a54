"""Group B: memory, processor, time. What a session uses is bounded, and only it pays for going over."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from sandbox.observation import Ending, Outcome
from tests.attacks import attacker as outside
from tests.attacks.attacker import GRACE, LIMITS, all_at_once, open_session, until
from tests.sandbox.kin import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.launcher import Launcher
    from tests.attacks.attacker import Attacker

MIB = 1 << 20


def kills(attacker: Attacker) -> int | None:
    """Return how often the kernel killed for want of memory; None where nothing counts it."""
    return None if attacker.box._group is None else attacker.box._group.out_of_memory_kills()


def session_bytes(attacker: Attacker) -> int:
    """Return the session's memory as the kernel counts it, or else what its processes and files hold."""
    group = attacker.box._group
    if group is not None:
        name = "memory.usage_in_bytes" if group._version == 1 else "memory.current"
        return int(Path(group._folders["memory"], name).read_text())
    total = 0
    for pid in outside.processes(attacker.box):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # gone meanwhile
            total += outside.proportional_bytes(pid)
    return total + outside.used_disk(attacker.box)[0]


async def test_row_18_memory_beyond_the_limit_is_an_oom_kill_in_that_session_only(
    bounded: Launcher, observed: Callable[[str], None]
) -> None:
    async with open_session(bounded) as attacker, open_session(bounded) as neighbour:
        await neighbour.value("hoard = b'x' * (40 << 20); result = len(hoard)")
        before = outside.resident_bytes()
        observation = await attacker.run("hoard = []\nwhile True: hoard.append(b'x' * (1 << 20))")
        assert (Outcome.OUT_OF_MEMORY, True) == (observation.outcome, observation.interpreter_reset)
        assert outside.resident_bytes() - before < 16 * MIB
        assert kills(attacker) in (None, 1)
        assert kills(neighbour) in (None, 0)
        assert await attacker.is_well()
        assert 40 << 20 == await neighbour.value("result = len(hoard)")
        final = await attacker.finish()
        peak = final.usage.peak_memory_bytes
        assert peak is None or peak <= LIMITS.memory_bytes
    observed(f"{observation.outcome}, peak {'not counted' if peak is None else f'{peak / MIB:.0f} MiB'}")


async def test_row_19_processes_that_are_each_below_the_limit_are_bounded_together(
    bounded: Launcher, observed: Callable[[str], None]
) -> None:
    many = f"""
import signal
children = []
for _ in range(8):
    child = os.fork()
    if child == 0:
        hoard = bytearray(b'x') * {LIMITS.memory_bytes // 4}
        time.sleep(600)
    children.append(child)
result = sum(os.waitstatus_to_exitcode(os.wait()[1]) == -9 for _ in range(5))
"""
    async with open_session(bounded) as attacker:
        observation = await attacker.run(many + "result")
        assert observation.outcome in (Outcome.OK, Outcome.OUT_OF_MEMORY)
        assert observation.outcome is Outcome.OUT_OF_MEMORY or {"result": "5"} == observation.value
        if (count := kills(attacker)) is not None:
            assert count >= 5 or observation.outcome is Outcome.OUT_OF_MEMORY
        else:
            await until(lambda: session_bytes(attacker) < LIMITS.memory_bytes)
        assert session_bytes(attacker) <= LIMITS.memory_bytes
        assert await attacker.is_well()
    observed("the sum holds; 5 of 8 children killed, or the interpreter")


async def test_row_20_sessions_near_their_limits_are_not_charged_for_each_other(
    bounded: Launcher, observed: Callable[[str], None]
) -> None:
    near = LIMITS.memory_bytes * 5 // 8
    everyone_is_there = trio.Event()
    arrived: list[Attacker] = []

    async def play(attacker: Attacker, _: str) -> None:
        assert near == await attacker.value(f"hoard = b'x' * {near}; result = len(hoard)")
        arrived.append(attacker)
        if len(arrived) == 6:
            everyone_is_there.set()
        with trio.fail_after(PATIENCE):
            await everyone_is_there.wait()
        assert near == await attacker.value("result = len(hoard)")
        assert kills(attacker) in (None, 0)
        assert near < session_bytes(attacker) <= LIMITS.memory_bytes

    await all_at_once(bounded, map(str, range(6)), play)
    observed(f"6 sessions of {near / MIB:.0f} MiB each, none killed")


@pytest.mark.parametrize("place", ["/workspace", "/tmp", "/dev/shm"])
async def test_row_21_files_in_memory_end_at_the_session_own_bound(
    attacker: Attacker, neighbour: Attacker, place: str, observed: Callable[[str], None]
) -> None:
    before = os.statvfs("/dev/shm").f_bfree
    fill = f"""
n = 0
try:
    with open('{place}/fill', 'wb', buffering=0) as file:
        while True: n += file.write(bytes(1 << 16))
except OSError as error: result = [n, _errno.errorcode[error.errno]]
"""
    written, error = await attacker.value(fill)
    assert "ENOSPC" == error
    assert written <= LIMITS.disk_bytes
    assert outside.used_disk(attacker.box)[0] <= LIMITS.disk_bytes
    assert before - os.statvfs("/dev/shm").f_bfree < 1024  # pages; the host's own is another
    assert session_bytes(attacker) >= written
    assert 8 * MIB == await neighbour.value(f"result = open('{place}/mine', 'wb').write(bytes({8 * MIB}))")
    observed(f"ENOSPC after {written / MIB:.1f} MiB, charged to the session")


MEMORY_WITHOUT_A_NAME = {
    "memfd_create": "fd = os.memfd_create('m')\nwhile True: os.write(fd, bytes(1 << 20))",
    "shared anonymous memory, pages given up": """
import mmap
kept = []
while True:
    kept.append(mmap.mmap(-1, 8 << 20))
    kept[-1].write(bytes(8 << 20))
    kept[-1].madvise(mmap.MADV_DONTNEED)
""",
    "page tables": """
import mmap
step, n = 2 << 20, 0
wide = mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)  # NORESERVE
wide.madvise(15)  # MADV_NOHUGEPAGE
while True:
    for n in range(n, n + 256): wide[n * step]
    n += 1
time.sleep(20)
""",
    "/dev/zero, shared, pages given up": """
import mmap
zero, kept = os.open('/dev/zero', os.O_RDWR), []
while True:
    kept.append(mmap.mmap(zero, 8 << 20))
    kept[-1].write(bytes(8 << 20))
    kept[-1].madvise(mmap.MADV_DONTNEED)
""",
}


@pytest.mark.parametrize("way", MEMORY_WITHOUT_A_NAME)
async def test_row_21_memory_without_a_name_is_charged_to_the_session_or_refused(
    bounded: Launcher, way: str, observed: Callable[[str], None]
) -> None:
    # What belongs to no process and to no mount: without a control group nothing would count it.
    most = 2 * LIMITS.memory_bytes
    bounded_code = MEMORY_WITHOUT_A_NAME[way].replace("while True:", f"for _ in range({most >> 20}):")
    async with open_session(bounded) as attacker, open_session(bounded) as neighbour:
        before = _host_memory()
        observation = await attacker.run(bounded_code + "\nresult = None")
        if attacker.box._group is not None:
            assert session_bytes(attacker) <= LIMITS.memory_bytes
        assert observation.outcome in (Outcome.OUT_OF_MEMORY, Outcome.ERROR), observation
        if observation.outcome is Outcome.ERROR:
            assert any(
                word in observation.stderr for word in ("Function not implemented", "Permission", "not perm")
            )
        # The watchdog looks ten times a second, so a burst may go over; not for long. Nor do the sessions of
        # other tests last, which are seen here, too.
        await until(lambda: _host_memory() - before < LIMITS.memory_bytes, PATIENCE)
        assert await neighbour.is_well()
    observed(str(observation.outcome) if observation.outcome is Outcome.OUT_OF_MEMORY else "refused")


def _host_memory() -> int:
    """Return how much of its memory the host uses for what nobody may count, in bytes."""
    rows = Path("/proc/meminfo").read_text().splitlines()
    return sum(int(row.split()[1]) << 10 for row in rows if row.startswith(("Shmem:", "PageTables:")))


async def test_row_22_shared_memory_larger_than_its_mount_is_sigbus_when_touched(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    touch = f"""
from multiprocessing import resource_tracker, shared_memory
shared = shared_memory.SharedMemory(create=True, size={4 * LIMITS.disk_bytes})
child = os.fork()
if child == 0:
    for page in range(0, shared.size, 4096): shared.buf[page] = 1
    os._exit(0)
result = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
shared.close()
shared.unlink()
"""
    assert -7 == await attacker.value(touch)
    shell = await attacker.bash(
        'python3 -c \'import mmap, os; f = os.open("/dev/shm/b", 66); os.ftruncate(f, 1 << 26); '
        "m = mmap.mmap(f, 1 << 26); [m.__setitem__(i, 1) for i in range(0, 1 << 26, 4096)]'"
    )
    assert {"exit_code": 128 + 7} == shell.value
    assert outside.used_disk(attacker.box)[0] <= LIMITS.disk_bytes
    assert await attacker.is_well()
    observed("SIGBUS (-7, 135)")


async def test_row_23_swap_cannot_be_turned_on_or_off(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    before = _swaps()
    assert "EPERM" == await attacker.raw("swapon", "b'/workspace'", 0)
    assert "EPERM" == await attacker.raw("swapoff", "b'/workspace'")
    assert before == _swaps()
    observed("EPERM")


def _swaps() -> list[str]:
    """Return what the host swaps to; how much of it is in use is everybody's doing."""
    return [row.split()[0] for row in outside.read_file("/proc/swaps").splitlines()]


def swap_bound(attacker: Attacker) -> int:
    """Return how much of the session may be swapped out, in bytes."""
    group = attacker.box._group
    assert group is not None
    name, less = (
        ("memory.swap.max", 0)
        if group._version != 1
        else ("memory.memsw.limit_in_bytes", LIMITS.memory_bytes)
    )
    try:
        return int(Path(group._folders["memory"], name).read_text()) - less
    except FileNotFoundError:  # a kernel that counts no swap: then there must be none
        return outside.read_file("/proc/swaps").count("\n") - 1


async def test_row_23_memory_cannot_dodge_its_bound_by_swapping(
    control_groups: None, launcher: Launcher, observed: Callable[[str], None]
) -> None:
    async with open_session(launcher) as attacker:
        assert 0 == swap_bound(attacker)
        page_out = f"""
import mmap
hoard = []
while True:
    hoard.append(mmap.mmap(-1, {8 * MIB}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    hoard[-1].write(b'x' * {8 * MIB})
    hoard[-1].madvise(21)  # MADV_PAGEOUT
"""
        assert Outcome.OUT_OF_MEMORY == (await attacker.run(page_out)).outcome
        assert await attacker.is_well()
    observed("swap is bound with the memory; killed all the same")


async def test_row_24_busy_and_idle_for_ever_end_at_the_deadline_while_others_run(
    launcher: Launcher, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    took: list[float] = []

    async def play(attacker: Attacker, command: str) -> None:
        started = time.monotonic()
        observation = await attacker.bash(command, seconds=0.4)
        took.append(time.monotonic() - started - 0.4)
        assert Outcome.TIMEOUT == observation.outcome
        assert await attacker.is_well()

    async with trio.open_nursery() as nursery:
        busy = "for i in 1 2 3 4 5 6; do (while :; do :; done) & done; wait"
        nursery.start_soon(all_at_once, launcher, [busy, "sleep infinity"], play)
        answered: list[float] = []
        while len(took) < 2:
            started = time.monotonic()
            assert 1 == await neighbour.value("result = 1")
            answered.append(time.monotonic() - started)
    assert max(took) < GRACE
    assert max(answered) < GRACE
    observed(f"timeout; a neighbour's slowest call took {max(answered) * 1000:.0f} ms")


async def test_row_25_locked_huge_and_stack_memory_are_refused(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    lock = """
import mmap, resource
page = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
address = _ctypes.addressof(_ctypes.c_char.from_buffer(page))
big = 64 << 30
def limit(kind, amount):
    try: resource.setrlimit(kind, (amount, amount))
    except (OSError, ValueError) as error: return type(error).__name__
    return 'done'
result = {
    'mlock': raw(NR.mlock, address, 4096), 'mlock2': raw(NR.mlock2, address, 4096, 0),
    'mlockall': raw(NR.mlockall, 3), 'MAP_LOCKED': raw(NR.mmap, 0, 4096, 3, 0x2022, -1, 0),
    'MAP_HUGETLB': raw(NR.mmap, 0, 2 << 20, 3, 0x40022, -1, 0),
    'stack': limit(resource.RLIMIT_STACK, big), 'memlock': limit(resource.RLIMIT_MEMLOCK, big),
}
"""
    answers = await attacker.value(lock)
    assert answers.pop("stack") == answers.pop("memlock") == "ValueError"  # how Python calls EPERM there
    assert set(answers.values()) <= {"EPERM", "ENOMEM", "EAGAIN", "ENOSYS"}, answers
    for pid in outside.processes(attacker.box):
        assert "0 kB" == outside.status_of(pid)["VmLck"]
    overflow = await attacker.bash(
        "ulimit -s unlimited; ulimit -s $((64 * 1024)) && "
        "python3 -c 'import sys; sys.setrecursionlimit(10**9); f = lambda: [0].sort(key=lambda _: f()); f()'"
    )
    assert overflow.value is not None
    assert overflow.value["exit_code"] in (139, 137, 1)
    assert await attacker.is_well()
    observed("mlock " + answers["mlock"] + ", MAP_HUGETLB " + answers["MAP_HUGETLB"])


async def test_row_26_storms_of_timers_are_bounded_and_disturb_nobody(
    attacker: Attacker, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    assert await neighbour.is_well()
    before = outside.open_descriptors()
    storm = """
import signal
signal.signal(signal.SIGALRM, signal.SIG_IGN)
ids, timers, clocks = _ctypes.c_int(), 0, []
while isinstance(last := raw(NR.timer_create, 1, None, _ctypes.byref(ids)), int): timers += 1
while isinstance(clock := raw(NR.timerfd_create, 1, 0), int): clocks.append(clock)
often = (_ctypes.c_long * 4)(0, 1000, 0, 1000)  # every microsecond
for descriptor in clocks: raw(NR.timerfd_settime, descriptor, 0, often, None)
seldom = (_ctypes.c_long * 4)(0, 100_000, 0, 100_000)
for number in range(timers): raw(NR.timer_settime, number, 0, seldom, None)
raw(NR.setitimer, 0, (_ctypes.c_long * 4)(0, 1, 0, 1), None)
result = [timers, last, len(clocks), clock]
for descriptor in clocks: os.close(descriptor)
"""
    timers, last, clocks, error = await attacker.value(storm)
    assert (256, "EAGAIN") == (timers, last)  # RLIMIT_SIGPENDING
    assert "EMFILE" == error
    assert clocks < 1024
    assert await neighbour.is_well()
    assert outside.open_descriptors() == before
    final = await attacker.finish()
    assert Ending.FINISHED == final.ended_by
    observed(f"EAGAIN after {timers} timers, EMFILE after {clocks} timerfds")


async def test_row_27_clocks_cannot_be_set_and_deadlines_go_by_the_hosts(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    before = time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    shift = """
year = (_ctypes.c_long * 2)(2_000_000_000, 0)
timex = _ctypes.create_string_buffer(256)
timex[0] = 1
result = {
    'clock_settime': raw(NR.clock_settime, 0, year), 'settimeofday': raw(NR.settimeofday, year, None),
    'adjtimex': raw(NR.adjtimex, timex), 'clock_adjtime': raw(NR.clock_adjtime, 0, timex),
    'unshare NEWTIME': raw(NR.unshare, 0x80), 'clone NEWTIME': raw(NR.clone, 0x80 | 17, 0, 0, 0, 0),
    'timens_offsets': attempt(lambda: os.write(os.open('/proc/self/timens_offsets', 1), b'monotonic 9 0')),
}
"""
    answers = await attacker.value(shift)
    assert answers.pop("clone NEWTIME") in ("EPERM", "ENOSYS")
    assert answers.pop("timens_offsets") in ("EACCES", "EPERM", "ENOENT")
    assert {"EPERM"} == set(answers.values()), answers
    after = time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    assert abs(after - before) < 1
    started = time.monotonic()
    lie = (
        "time.sleep = lambda _: None; time.monotonic = lambda: 0.0; time.time = lambda: 0.0\nwhile True: pass"
    )
    assert Outcome.TIMEOUT == (await attacker.run(lie, seconds=0.2)).outcome
    assert 0.2 <= time.monotonic() - started < 0.2 + GRACE
    observed("EPERM by six calls; the deadline held")


async def test_row_28_the_hosts_name_cannot_be_set(
    attacker: Attacker, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    before = socket.gethostname()
    assert "EPERM" == await attacker.raw("sethostname", "b'evil'", 4)
    assert "EPERM" == await attacker.raw("setdomainname", "b'evil'", 4)
    assert before == socket.gethostname()
    for one in (attacker, neighbour):
        assert ["creche", "(none)"] == await one.value(
            "result = [os.uname().nodename, open('/etc/hostname').read() and '(none)']"
        )
    observed("EPERM; names unchanged")


async def test_row_29_no_priority_above_the_ordinary_can_be_had(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    rise = """
import struct
priority = _ctypes.byref(_ctypes.c_int(1))
deadline = struct.pack('IIQiIQQQ', 48, 6, 0, 0, 0, 10**6, 10**7, 10**7)
fifo = struct.pack('IIQiIQQQ', 48, 1, 0, 0, 99, 0, 0, 0)
nicer = struct.pack('IIQiIQQQ', 48, 0, 0, -20, 0, 0, 0, 0)
result = {
    'FIFO': raw(NR.sched_setscheduler, 0, 1, priority), 'RR': raw(NR.sched_setscheduler, 0, 2, priority),
    'FIFO by attr': raw(NR.sched_setattr, 0, fifo, 0), 'DEADLINE': raw(NR.sched_setattr, 0, deadline, 0),
    'nice by attr': raw(NR.sched_setattr, 0, nicer, 0), 'nice -20': raw(NR.setpriority, 0, 0, -20),
    'nice -1 for all': raw(NR.setpriority, 2, 1000, -1), 'ionice realtime': raw(NR.ioprio_set, 1, 0, 1 << 13),
}
"""
    answers = await attacker.value(rise)
    assert set(answers.values()) <= {"EPERM", "EACCES"}, answers
    for pid in outside.processes(attacker.box):
        fields = outside._stat(pid)
        assert int(fields[16]) >= 0  # nice
        assert ["0", "0"] == fields[37:39]  # real-time priority, policy
    observed("EPERM or EACCES, 8 of 8")


HANGS = {
    "regular expression": "import re; re.match('(a+)+$', 'a' * 40 + 'b')",
    "int to str": "getattr(sys, 'set_int_max_str_digits', id)(0); str(1 << 40_000_000)",
    "power": "9 ** 9 ** 9",
}


async def test_row_30_a_hang_in_c_is_killed_from_outside_while_the_server_answers(
    launcher: Launcher, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    took: list[float] = []
    answered: list[float] = []

    async def play(attacker: Attacker, what: str) -> None:
        started = time.monotonic()
        observation = await attacker.run(HANGS[what], seconds=0.2)
        took.append(time.monotonic() - started - 0.2)
        assert Outcome.TIMEOUT == observation.outcome
        assert await attacker.is_well()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(all_at_once, launcher, HANGS, play)
        while len(took) < len(HANGS):
            started = time.monotonic()
            assert 1 == await neighbour.value("result = 1")
            answered.append(time.monotonic() - started)
    assert max(took) < GRACE
    assert max(answered) < GRACE
    observed(f"killed at most {max(took):.1f} s after the deadline; the server answered meanwhile")
