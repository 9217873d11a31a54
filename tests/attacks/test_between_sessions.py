"""Beyond the rows: two live sessions that would tell each other something, or take something from each other.

Each channel is tried both ways. Rows 47, 51 and 68 to 72 have the channels that one session meets alone:
sockets, keyrings, IPC objects and watches that are refused; and row 71 the locks, which are not met.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.attacks import attacker as outside
from tests.attacks.attacker import LIMITS
from tests.sandbox.ranges import SHARED

if TYPE_CHECKING:
    from tests.attacks.attacker import Attacker

RWF_NOWAIT = 0x8


Channel = Callable[["Attacker", "Attacker", Callable[[str], None]], Awaitable[None]]


def both_ways(channel: Channel) -> Channel:
    """Make a test of a channel from its first session to its second, which is then tried back."""

    async def tried(attacker: Attacker, neighbour: Attacker, observed: Callable[[str], None]) -> None:
        await channel(attacker, neighbour, observed)
        await channel(neighbour, attacker, observed)

    tried.__name__ = getattr(channel, "__name__", "channel")
    return tried


of_each_user = pytest.mark.xfail(
    SHARED,
    strict=True,
    reason="the sessions of a user without a range of ids share what the kernel allows a user",
)
"""Marks what the kernel counts by the user id outside, whatever the namespace."""

_QUEUE = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [50])
information, queued = _ctypes.byref((_ctypes.c_int * 32)(50, 0, -1)), 0
while raw(NR.rt_sigqueueinfo, os.getpid(), 50, information) == 0: queued += 1
result = queued
"""
_FORGET = """
signal.signal(50, signal.SIG_IGN)
signal.signal(50, signal.SIG_DFL)
"""


@both_ways
async def test_pending_signals_of_one_session_leave_the_other_its_own(
    taker: Attacker, robbed: Attacker, observed: Callable[[str], None]
) -> None:
    taken = await taker.value(_QUEUE)
    assert 0 < taken < 1024
    assert taken == await robbed.value(_QUEUE)
    for one in (taker, robbed):
        await one.run(_FORGET)
    observed(f"{taken} for each")


@both_ways
async def test_processes_of_one_session_leave_the_other_its_own(
    taker: Attacker, robbed: Attacker, observed: Callable[[str], None]
) -> None:
    fill = """
import signal
children = []
try:
    while True:
        child = os.fork()
        if child == 0: signal.pause()
        children.append(child)
except OSError as error: result = [len(children), _errno.errorcode[error.errno]]
"""
    taken, error = await taker.value(fill)
    assert "EAGAIN" == error
    assert [taken, error] == await robbed.value(fill)
    assert LIMITS.processes >= len(outside.processes(taker.box)) + 1
    for one in (taker, robbed):
        await one.run("for child in children: os.kill(child, 9), os.wait()")
    observed(f"EAGAIN after {taken} children in each")


@of_each_user
@both_ways
async def test_pipe_buffers_of_one_session_leave_the_other_its_own(
    taker: Attacker, robbed: Attacker, observed: Callable[[str], None]
) -> None:
    fill = """
import fcntl
pipes = [os.pipe() for _ in range(100)]
result = [attempt(fcntl.fcntl, reading, 1031, 1 << 20) for reading, _ in pipes].count(1 << 20)
pipes += [os.pipe() for _ in range(40)]
"""
    look = "import fcntl\nmine = os.pipe()\nresult = fcntl.fcntl(mine[0], 1032)\nlist(map(os.close, mine))"
    taken = await taker.value(fill)
    small = await taker.value(look)
    mine = await robbed.value(look)
    await taker.run("for reading, writing in pipes: os.close(reading), os.close(writing)")
    observed(f"{taken} MiB taken: new pipes of {small} bytes there and {mine} here")
    assert 64 << 10 == mine


@of_each_user
@both_ways
async def test_descriptors_in_flight_of_one_session_leave_the_other_its_own(
    taker: Attacker, robbed: Attacker, observed: Callable[[str], None]
) -> None:
    fly = """
import array, resource, socket
pair = socket.socketpair()
def fly(count):
    with open('/dev/null') as file:
        rights = array.array('i', [file.fileno()] * count)
        return attempt(pair[0].sendmsg, [b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
"""
    assert 1 == await taker.value(fly + "result = fly(250)")
    few = "before = resource.getrlimit(7)\nresource.setrlimit(7, (100, before[1]))\n"
    mine = await robbed.value(f"{fly}{few}result = [fly(1), fly(200), fly(1)]\nresource.setrlimit(7, before)")
    for one in (taker, robbed):
        await one.run("for end in pair: end.close()")
    observed(f"250 in flight there; here, where 100 may be: {mine}")
    assert [1, 1, "ETOOMANYREFS"] == mine


@both_ways
async def test_what_one_session_reads_leaves_no_time_on_the_file(
    reader: Attacker, watcher: Attacker, observed: Callable[[str], None]
) -> None:
    paths = ("/usr/bin/env", "/usr/bin", "/opt/creche/tools/bash.py", "/etc/hosts", "/")
    look = f"result = [os.stat(path).st_atime_ns for path in {paths}]"
    before = await watcher.value(look)
    await reader.run(
        f"for path in {paths}: os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read()"
    )
    assert before == await watcher.value(look)
    observed("access times stay")


def shared_page() -> Path:
    """Return a file of the shared root whose first page is in memory, as the host itself can see."""
    path = Path("/usr/bin/env")
    path.read_bytes()
    assert is_in_memory(path)
    return path


def is_in_memory(path: Path) -> bool:
    """Whether the first page of a file is in the page cache; the host may ask."""
    with path.open("rb") as file:
        try:
            return os.preadv(file.fileno(), [bytearray(1)], 0, RWF_NOWAIT) == 1
        except BlockingIOError:
            return False


@both_ways
async def test_no_session_can_evict_pages_of_a_shared_file(
    evicter: Attacker, reader: Attacker, observed: Callable[[str], None]
) -> None:
    page = shared_page()
    await reader.bash(f"cat {page}")
    answers = await evicter.value(f"""
import mmap
file = os.open('{page}', os.O_RDONLY)
shown = _ctypes.c_void_p(raw(NR.mmap, 0, 4096, 1, 1, file, 0))
result = [raw(NR.fadvise64, file, 0, 0, advice) for advice in range(6)]
result += [raw(NR.madvise, shown.value, 4096, advice) for advice in (4, 8, 9, 20, 21)]
""")
    assert [0] * 6 == answers[:6]  # feigned
    assert set(answers[6:]) <= {0, "EINVAL", "EPERM", "EACCES"}
    assert is_in_memory(page)
    observed("fadvise is feigned, madvise reaches the own mapping only; the page stays")


@both_ways
async def test_no_session_can_ask_which_pages_of_a_shared_file_are_in_memory(
    asker: Attacker, reader: Attacker, observed: Callable[[str], None]
) -> None:
    page, pages = shared_page(), 8
    await reader.bash(f"cat {page}")
    answers = await asker.value(f"""
file = os.open('{page}', os.O_RDONLY)
vector = (_ctypes.c_ulong * 2)(_ctypes.addressof(buffer := _ctypes.create_string_buffer(64)), 64)
result = {{'preadv2': [raw(NR.preadv2, file, vector, 1, 0, 0, flags) for flags in (8, 24)]}}
result['cachestat'] = raw(451, file, (_ctypes.c_ulong * 2)(0, 0), (_ctypes.c_ulong * 5)(), 0)
shown = raw(NR.mmap, 0, {pages} * 4096, 1, 1, file, 0)
seen = (_ctypes.c_ubyte * {pages})()
result['mincore'] = [raw(NR.mincore, shown, {pages} * 4096, seen), set(seen)]
""")
    assert ["ENOTSUP"] * 2 == answers["preadv2"]  # as Python names EOPNOTSUPP
    assert "ENOSYS" == answers["cachestat"]
    assert [0, {1}] == answers[
        "mincore"
    ]  # the kernel says that all are, to whoever may not write to the file
    observed("preadv2 EOPNOTSUPP, cachestat ENOSYS, mincore says yes to all")


@pytest.mark.xfail(strict=True, reason="smaps and pagemap count who else maps a page of a shared file")
@both_ways
async def test_no_session_can_tell_whether_another_maps_a_page_of_a_shared_file(
    teller: Attacker, told: Attacker, observed: Callable[[str], None]
) -> None:
    path = "/opt/creche/tools/shell.py"  # a copy of this cage's, which nobody else can map
    show = f"""
import mmap
file = os.open('{path}', os.O_RDONLY)
shown = mmap.mmap(file, 4096, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
shown[0]
"""
    look = f"""
rows = iter(open('/proc/self/smaps'))
next(row for row in rows if row.rstrip().endswith('{path}'))
result = int(next(row for row in rows if row.startswith('Pss:')).split()[1])
"""
    alone = await told.value(show + look)
    await teller.run(show)
    together = await told.value(look)
    observed("seen" if alone != together else "not seen")
    assert alone == together


@both_ways
async def test_files_of_one_session_are_in_no_folder_of_the_other(
    teller: Attacker, told: Attacker, observed: Callable[[str], None]
) -> None:
    name = f"creche-{os.urandom(8).hex()}"
    places = ("/workspace", "/tmp", "/dev/shm")
    assert [1] * 3 == await teller.value(
        f"result = [open(place + '/{name}', 'w').write('x') for place in {places}]"
    )
    look = f"result = [os.path.exists(place + '/{name}') for place in {places}]"
    assert [True] * 3 == await teller.value(look)
    assert [False] * 3 == await told.value(look)
    assert not (Path("/dev/shm") / name).exists()
    devices = "result = [os.stat(place).st_dev for place in ('/workspace', '/tmp', '/dev/shm')]"
    assert await teller.value(devices) != await told.value(devices)
    observed("each its own tmpfs")


@both_ways
async def test_a_signal_to_every_process_stays_in_its_session(
    teller: Attacker, told: Attacker, observed: Callable[[str], None]
) -> None:
    init, lane = outside.init_of(told.box), told.box._lanes["python"].process.pid()
    answers = await teller.value(f"""
import signal
result = [raw(NR.kill, pid, 0) for pid in ({init}, {lane}, -{init}, -{lane})]
result += [raw(NR.tgkill, {lane}, {lane}, 9), raw(NR.pidfd_open, {lane}, 0)]
result += [raw(NR.kill, -1, signal.SIGCONT)]
""")
    assert {"ESRCH"} == set(answers[:6])
    assert answers[6] in (0, "ESRCH")
    assert outside.is_alive(init)
    assert lane == told.box._lanes["python"].process.pid()
    assert await told.is_well()
    observed("ESRCH")
