"""Group A: processes and kill. What is started, stopped or hidden inside stays inside and ends with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import trio

from sandbox.errors import Gone
from sandbox.launcher import open_launcher
from sandbox.observation import Ending, Outcome
from tests.attacks import attacker as outside
from tests.attacks.attacker import GRACE, LIMITS, all_at_once, open_session, until
from tests.sandbox.handlers import BEGUN_SECONDS
from tests.whole.servers import creche

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sandbox.launcher import Launcher
    from tests.attacks.attacker import Attacker

DAEMON = """
def daemon(work):
    'Run work() in a process that nobody inside waits for, deaf to every signal that can be blocked.'
    import signal
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
            os.closerange(0, 64)
            work()
        os._exit(0)
    os.wait()
"""

TICKER = """
def tick():
    while True:
        with open('/workspace/ticks', 'a') as file: file.write('x')
        time.sleep(0.001)
"""


def ticks(attacker: Attacker) -> int:
    try:
        return len(outside.content_of(attacker.box, "ticks"))
    except FileNotFoundError:
        return 0


async def test_row_01_a_fork_bomb_meets_eagain_at_the_limit_and_the_host_forks_on(
    bounded: Launcher, observed: Callable[[str], None]
) -> None:
    bomb = """
while True:
    try: os.fork()
    except OSError as error: open('/workspace/' + _errno.errorcode[error.errno], 'w').close()
"""
    counts: list[int] = []
    async with open_session(bounded) as attacker, open_session(bounded) as neighbour:
        async with trio.open_nursery() as nursery:

            async def count() -> None:
                while True:
                    counts.append(len(outside.processes(attacker.box)) + 1)
                    assert 0 == (await trio.run_process(["true"])).returncode
                    assert (await neighbour.bash("true")).value == {"exit_code": 0}
                    await trio.sleep(0.02)

            nursery.start_soon(count)
            observation = await attacker.run(bomb, seconds=BEGUN_SECONDS)
            nursery.cancel_scope.cancel()
        assert Outcome.TIMEOUT == observation.outcome
        final = await attacker.finish()
        assert max(counts) <= LIMITS.processes  # on a busy machine the fullest moment may not be seen
        assert "EAGAIN" in final.files
        assert await neighbour.is_well()
    observed(f"EAGAIN at {max(counts)} processes, gone with the session")


async def test_row_02_exactly_the_allowed_number_of_children_can_be_started(
    bounded: Launcher, observed: Callable[[str], None]
) -> None:
    spawn = """
import subprocess
children = []
try:
    while True: children.append(subprocess.Popen(['sleep', '600']))
except OSError as error: result = [len(children), _errno.errorcode[error.errno]]
"""
    async with open_session(bounded) as attacker:
        count, error = await attacker.value(spawn)
        assert (LIMITS.processes - 2, "EAGAIN") == (
            count,
            error,
        )  # init and the interpreter are processes, too
        assert LIMITS.processes - 1 == len(outside.processes(attacker.box))
        group = attacker.box._group
        assert group is None or LIMITS.processes == group.pids()
        await attacker.finish()
    observed(f"EAGAIN after {count} children")


async def test_row_03_a_daemon_dies_with_the_session(
    attacker: Attacker, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    await attacker.value(DAEMON + TICKER + "daemon(tick); result = None")
    await attacker.bash("nohup setsid sh -c 'trap \"\" HUP INT TERM; while :; do sleep 1; done' >&- 2>&- &")
    await until(lambda: ticks(attacker))
    inside = outside.processes(attacker.box)
    assert any(outside.parent_of(pid) == outside.init_of(attacker.box) for pid in inside)
    final = await attacker.finish()
    assert not any(outside.is_alive(pid) for pid in inside)
    assert len(final.files["ticks"].data) == ticks(attacker)
    observed(f"{len(inside)} processes gone, 0 left in the PID namespace")


async def test_row_04_what_forks_faster_than_it_can_be_looked_at_ends_by_one_kill(
    bounded: Launcher, observed: Callable[[str], None]
) -> None:
    hydra = """
def hydra():
    while True:
        try:
            if os.fork(): os._exit(0)
            os.setsid()
        except OSError: pass
for _ in range(3): daemon(hydra)
def next_number():
    while True:
        try: child = os.fork()
        except OSError: continue
        if child == 0: os._exit(0)
        return os.waitpid(child, 0)[0]
first, own = next_number(), 1
while next_number() - first - own < 50: own += 1  # whoever takes the others is too fast to be seen
"""
    async with open_session(bounded) as attacker:
        observation = await attacker.run(DAEMON + hydra)
        assert Outcome.OK == observation.outcome, observation
        started = time.monotonic()
        await attacker.finish()
    observed(f"gone {(time.monotonic() - started) * 1000:.0f} ms after the kill")


@contextlib.contextmanager
def _sweeping() -> Iterator[None]:
    """Start a launcher afterwards, as a next server would, which sweeps what a killed one could not."""

    async def sweep() -> None:
        async with open_launcher():
            pass

    try:
        yield
    finally:
        trio.run(sweep)


@pytest.mark.orphans
def test_row_05_a_server_killed_by_sigkill_leaves_no_survivor(
    tmp_path: Path, observed: Callable[[str], None]
) -> None:
    with _sweeping(), creche(tmp_path) as server, server.client() as client:
        client.post("/seed_session", json={"responses_create_params": {"input": []}}).raise_for_status()
        client.post(
            "/python", json={"code": "import os, time\n" + DAEMON + "daemon(lambda: time.sleep(600))"}
        )
        reply = client.post("/bash", json={"command": "setsid sleep 600 >&- 2>&- & disown; echo there"})
        assert "there\n" == reply.json()["stdout"]
        family = outside.descendants(server.process.pid)
        assert len(family) >= 3 + 5  # keeper, zygote, init; two lanes, a shell, two daemons
        started = time.monotonic()
        server.cut_off()
        while any(map(outside.is_alive, family)):
            assert time.monotonic() - started < GRACE, [pid for pid in family if outside.is_alive(pid)]
    observed(f"{len(family)} processes gone, 0 survivors")


@pytest.mark.parametrize("whom", ["keeper", "zygote", "init"])
@pytest.mark.orphans
async def test_row_05_a_supervisor_killed_by_sigkill_leaves_no_survivor(
    whom: str, observed: Callable[[str], None]
) -> None:
    async with open_launcher() as launcher, open_session(launcher) as attacker:
        await attacker.value(DAEMON + "daemon(lambda: time.sleep(600)); result = None")
        init = outside.init_of(attacker.box)
        zygote = outside.parent_of(init)
        victim = {"init": init, "zygote": zygote, "keeper": outside.parent_of(zygote)}[whom]
        inside = [init, *outside.processes(attacker.box)]
        assert len(inside) >= 3
        os.kill(victim, signal.SIGKILL)
        if whom == "keeper":  # it only waits: sessions live on, and end with the server
            await until(lambda: not outside.is_alive(victim))
            assert await attacker.is_well()
            await attacker.finish()
        else:
            with trio.fail_after(GRACE):
                ending = await attacker.box.wait_ended()
            assert {"init": Ending.KILLED, "zygote": Ending.CAGE_LOST}[whom] == ending
        await until(lambda: not any(map(outside.is_alive, inside)))
        async with open_session(launcher) as next_one:
            assert await next_one.is_well()
    await until(lambda: not outside.is_alive(zygote))
    observed("0 survivors; the next session starts")


async def test_row_06_a_child_that_outlives_its_timeout_wrapper_stops_ticking(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    wrapped = "timeout 1 sh -c '(while :; do printf x >>ticks; sleep 0.005; done) & wait'; exec sleep 600"
    observation = await attacker.bash(wrapped, seconds=BEGUN_SECONDS)
    after = ticks(attacker)
    assert Outcome.TIMEOUT == observation.outcome
    assert after > 0
    final = await attacker.finish()
    more = len(final.files["ticks"].data) - after
    assert more < 10
    assert len(final.files["ticks"].data) == ticks(attacker)
    observed(f"{more} ticks after the deadline, no orphan")


async def test_row_07_init_and_all_outside_are_out_of_reach_of_kill(
    launcher: Launcher, attacker: Attacker, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    init = outside.init_of(attacker.box)
    zygote = outside.parent_of(init)
    strangers = [os.getpid(), zygote, outside.parent_of(zygote), init, *outside.processes(neighbour.box)]
    foreign = [
        pid for pid in strangers if pid > 4 * LIMITS.processes
    ]  # smaller ones may exist inside as well
    assert foreign
    everyway = """
info = _ctypes.create_string_buffer(128)
_ctypes.cast(info, _ctypes.POINTER(_ctypes.c_int))[2] = -1  # SI_QUEUE
result = {(pid, name): raw(*call) for pid in PIDS for name, call in {
    'kill': (NR.kill, pid, 9), 'kill group': (NR.kill, -pid, 9), 'tkill': (NR.tkill, pid, 9),
    'tgkill': (NR.tgkill, pid, pid, 9), 'rt_sigqueueinfo': (NR.rt_sigqueueinfo, pid, 9, info),
    'rt_tgsigqueueinfo': (NR.rt_tgsigqueueinfo, pid, pid, 9, info), 'pidfd_open': (NR.pidfd_open, pid, 0),
}.items()}
"""
    answers = await attacker.value(f"PIDS = {foreign}\n{everyway}")
    assert {"ESRCH"} == set(answers.values()), answers
    for number in (9, 19, 15, 11):
        assert 0 == await attacker.raw("kill", 1, number)
        assert await attacker.raw("tgkill", 1, 1, number) in (0, "ESRCH")
    await until(lambda: "S" == outside.state_of(init))  # it waits, as ever, and is not stopped
    await attacker.bash("true")  # a second lane, for the broadcast to hit
    assert 0 == await attacker.raw("kill", -1, 9)
    broken = await attacker.bash("true")
    assert (Outcome.KILLED, True) == (broken.outcome, broken.interpreter_reset)
    assert await attacker.is_well()
    assert all(map(outside.is_alive, strangers))
    observed(f"ESRCH for {len(foreign)} processes outside by 7 calls; init immune")


async def test_row_08_what_has_stopped_itself_is_killed_at_the_deadline(
    launcher: Launcher, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    took: list[float] = []

    async def play(attacker: Attacker, target: str) -> None:
        stop = f"""
import subprocess
subprocess.Popen(['sleep', '600'])
raw(NR.kill, {target}, 19)
raw(NR.kill, os.getpid(), 19)  # a broadcast spares its sender
"""
        started = time.monotonic()
        observation = await attacker.run(stop, seconds=BEGUN_SECONDS)
        took.append(time.monotonic() - started - BEGUN_SECONDS)
        assert (Outcome.TIMEOUT, True) == (observation.outcome, observation.interpreter_reset)
        assert [] == [pid for pid in outside.processes(attacker.box) if outside.state_of(pid) == "T"]
        assert await attacker.is_well()

    await all_at_once(launcher, ["os.getpid()", "0", "-1"], play)
    assert max(took) < GRACE
    observed(f"killed at most {max(took):.1f} s after the deadline")


async def test_row_09_a_storm_of_zombies_is_reaped(
    bounded: Launcher, observed: Callable[[str], None]
) -> None:
    async with open_session(bounded) as attacker:
        await attacker.value("result = 1")
        storm = await attacker.bash("for i in {1..200}; do (: &); done")
        assert {"exit_code": 0} == storm.value
        await until(lambda: len(outside.processes(attacker.box)) == 3)  # two lanes and a shell
        group = attacker.box._group
        assert group is None or 4 == group.pids()
        # Those whose parent lives are its to wait for; they count, and end with it.
        unwaited = """
n = 0
try:
    while True:
        if os.fork() == 0: os._exit(0)
        n += 1
except OSError as error: result = [n, _errno.errorcode[error.errno]]
"""
        assert [LIMITS.processes - 4, "EAGAIN"] == await attacker.value(unwaited)
        assert Outcome.KILLED == (await attacker.run("os._exit(0)")).outcome
        assert await attacker.is_well()
        await attacker.finish()
    observed("200 orphans reaped; unwaited ones bounded")


async def test_row_10_neither_a_subreaper_nor_a_parent_death_signal_outlives_the_kill(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    keep = """
import ctypes
asked = [raw(NR.prctl, 36, 1, 0, 0, 0), raw(NR.prctl, 1, 0, 0, 0, 0)]  # CHILD_SUBREAPER, PDEATHSIG none
daemon(lambda: (raw(NR.prctl, 1, 0, 0, 0, 0), raw(NR.prctl, 36, 1, 0, 0, 0), time.sleep(600)))
result = asked
"""
    assert [0, 0] == await attacker.value(DAEMON + keep)
    init = outside.init_of(attacker.box)
    lane, daemon = outside.processes(attacker.box)
    assert (init, lane) == (outside.parent_of(lane), outside.parent_of(daemon))  # it reaps in init's place
    assert Outcome.KILLED == (await attacker.run("os._exit(0)")).outcome
    assert await attacker.is_well()
    await attacker.value(DAEMON + keep)
    inside = outside.processes(attacker.box)
    await attacker.finish()
    assert not any(map(outside.is_alive, (init, *inside)))
    observed("allowed, and all gone at the kill")


STUBBORN = {
    "sleeps on": "import atexit\natexit.register(time.sleep, 600)\n"
    "try: time.sleep(600)\nfinally: time.sleep(600)",
    "ignores": "import signal\nfor n in {*range(1, 32)} - {9, 19}: signal.signal(n, 1)\ntime.sleep(600)",
    "blocks": "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: pass",
    "catches": "while True:\n  try: time.sleep(600)\n  except BaseException: pass",
}


async def test_row_11_what_will_not_stop_is_killed_at_the_deadline(
    launcher: Launcher, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    took: list[float] = []

    async def play(attacker: Attacker, way: str) -> None:
        await attacker.value("result = 1")
        (lane,) = outside.processes(attacker.box)
        started = time.monotonic()
        observation = await attacker.run(STUBBORN[way], seconds=BEGUN_SECONDS)
        took.append(time.monotonic() - started - BEGUN_SECONDS)
        assert (Outcome.TIMEOUT, True) == (observation.outcome, observation.interpreter_reset)
        assert not outside.is_alive(lane)
        assert await attacker.is_well()

    await all_at_once(launcher, STUBBORN, play)
    assert max(took) < GRACE
    observed(f"SIGKILL at most {max(took):.1f} s after the deadline")


async def test_row_12_threads_end_at_the_limit_of_processes(
    bounded: Launcher, observed: Callable[[str], None]
) -> None:
    bomb = """
import threading
n = 0
threading.stack_size(65536)
try:
    while n < 32768:
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
        n += 1
    result = n
except RuntimeError: result = n
"""
    async with open_session(bounded) as attacker, open_session(bounded) as neighbour:
        count = await attacker.value(bomb)
        assert LIMITS.processes - 2 == count
        assert LIMITS.processes == outside.threads(attacker.box)
        assert await neighbour.is_well()
        await attacker.finish()
    observed(f"{count} threads, then refused")


async def test_row_13_a_parent_that_waits_uninterruptibly_is_killed_within_the_grace(
    attacker: Attacker, observed: Callable[[str], None]
) -> None:
    wait = "if raw(NR.clone, 0x4000 | 17, 0, 0, 0, 0) == 0:\n  while True: time.sleep(600)"  # CLONE_VFORK
    await attacker.value("result = 1")
    (lane,) = outside.processes(attacker.box)
    seen: list[str] = []
    async with trio.open_nursery() as nursery:

        async def look() -> None:
            await until(lambda: outside.state_of(lane) == "D")
            seen.append("D")

        nursery.start_soon(look)
        started = time.monotonic()
        observation = await attacker.run(wait, seconds=BEGUN_SECONDS)
    assert ["D"] == seen
    assert time.monotonic() - started < BEGUN_SECONDS + GRACE
    assert (Outcome.TIMEOUT, True) == (observation.outcome, observation.interpreter_reset)
    await until(lambda: outside.processes(attacker.box) == [])
    assert await attacker.is_well()
    observed("parent in state D, both killed within the grace")


REINCARNATE = """
import ctypes, os, struct, sys
wanted = int(sys.argv[1])
pids = ctypes.c_int(wanted)
# struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, size, tls, set_tid, set_tid_size
arguments = struct.pack('11Q', 0, 0, 0, 0, 17, 0, 0, 0, ctypes.addressof(pids), 1, 0)
libc = ctypes.CDLL(None, use_errno=True)
pid = libc.syscall(435, arguments, len(arguments))
if pid == 0:
    os.setsid()
    os.close(1)
    os.read(0, 1)
    os._exit(0)
print(pid if pid > 0 else -ctypes.get_errno(), flush=True)
if pid > 0:
    print(os.waitpid(pid, 0)[1], flush=True)
"""


@pytest.mark.parametrize("whom", ["init", "lane"])
@pytest.mark.needs_root("to choose a process's number")
async def test_row_14_a_process_that_got_a_dead_ones_number_is_not_killed_in_its_place(
    attacker: Attacker, whom: str, observed: Callable[[str], None]
) -> None:
    await attacker.value("result = 1")
    (lane,) = outside.processes(attacker.box)
    dead = {"init": outside.init_of(attacker.box), "lane": lane}[whom]
    os.kill(dead, signal.SIGKILL)
    await until(lambda: outside.state_of(dead) == "X")
    command = [sys.executable, "-c", REINCARNATE, str(dead)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as foreign:  # noqa: ASYNC220
        assert foreign.stdin is not None
        assert foreign.stdout is not None
        number = int(foreign.stdout.readline())
        if number != dead:
            foreign.stdin.close()
            pytest.skip(
                f"the kernel gives no process a number of choice (clone3 with set_tid: errno {-number})"
            )
        if whom == "init":
            with trio.fail_after(GRACE):
                await attacker.box.wait_ended()
            with pytest.raises(Gone):
                await attacker.run("pass")
            attacker.box._init.kill()
        else:
            assert Outcome.KILLED == (await attacker.run("pass")).outcome
            assert await attacker.is_well()
        await attacker.box.finish()
        assert outside.is_alive(dead)  # the stranger
        foreign.stdin.close()
        assert 0 == int(foreign.stdout.readline())
    observed("the number's new owner was untouched")


PEERS = "[pid for pid in map(int, filter(str.isdigit, os.listdir('/proc'))) if pid not in (1, os.getpid())]"


async def test_row_15_ptrace_is_denied_of_everyone(
    attacker: Attacker, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    await attacker.bash("sleep 600 &")
    trace = f"""
import subprocess
child = subprocess.Popen(['sleep', '600'])
targets = {{'init': 1, 'child': child.pid, **{{f'peer {{pid}}': pid for pid in {PEERS}}}}}
result = {{('self', 'TRACEME'): raw(NR.ptrace, 0, 0, 0, 0)}}
for name, pid in targets.items():
    result[name, 'ATTACH'] = raw(NR.ptrace, 16, pid, 0, 0)
    result[name, 'SEIZE'] = raw(NR.ptrace, 0x4206, pid, 0, 0)
"""
    answers = await attacker.value(trace)
    assert len(answers) >= 9  # itself, and twice init, the child, the other lane, its shell, its sleep
    assert {"EPERM"} == set(answers.values()), answers
    for pid in (outside.init_of(attacker.box), *outside.processes(attacker.box)):
        assert "0" == outside.status_of(pid)["TracerPid"]
    observed(f"EPERM, {len(answers)} of {len(answers)}")


def oom_scores(attacker: Attacker) -> dict[int, str]:
    pids = (outside.init_of(attacker.box), *outside.processes(attacker.box))
    return {pid: outside.read_file(f"/proc/{pid}/oom_score_adj").strip() for pid in pids}


REFUSED = ("EACCES", "EPERM", "ENOENT")
LOOK_AT_INIT = """
def contents(name):
    with open('/proc/1/' + name, 'rb') as file: return file.read()
files = 'maps smaps environ auxv syscall stack personality pagemap io exe'.split()
result = {name: attempt(contents, name) for name in files}
result['mem'] = attempt(os.open, '/proc/1/mem', os.O_RDWR)
result['clear_refs'] = attempt(os.open, '/proc/1/clear_refs', os.O_WRONLY)
for name in ('root', 'cwd'):
    result[name] = attempt(os.listdir, '/proc/1/' + name)
    result[name, 'link'] = attempt(os.readlink, '/proc/1/' + name)
for number in range(32):
    result['fd', number] = attempt(os.readlink, f'/proc/1/fd/{number}')
    result['fd', number, 'open'] = attempt(os.open, f'/proc/1/fd/{number}', os.O_RDONLY)
    result['fdinfo', number] = attempt(contents, f'fdinfo/{number}')
for kind in ('user', 'pid', 'mnt', 'net', 'ipc', 'uts', 'cgroup'):
    result['ns', kind] = attempt(os.open, '/proc/1/ns/' + kind, os.O_RDONLY)
"""


async def test_row_16_no_memory_but_the_attackers_own_can_be_reached(
    attacker: Attacker, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    await attacker.bash("secret=1")
    reach = f"""
class Vector(_ctypes.Structure): _fields_ = [('base', _ctypes.c_void_p), ('length', _ctypes.c_size_t)]
buffer = _ctypes.create_string_buffer(8)
vector = _ctypes.byref(Vector(_ctypes.addressof(buffer), 8))
result = {{}}
for pid in [1, os.getpid(), *{PEERS}]:
    result['process_vm_writev', pid] = raw(NR.process_vm_writev, pid, vector, 1, vector, 1, 0)
    result['process_vm_readv', pid] = raw(NR.process_vm_readv, pid, vector, 1, vector, 1, 0)
    pidfd = raw(NR.pidfd_open, pid, 0)
    result['pidfd_getfd', pid] = raw(NR.pidfd_getfd, pidfd, 0, 0)
    result['process_madvise', pid] = raw(NR.process_madvise, pidfd, vector, 1, 4, 0)
    result['kcmp', pid] = raw(NR.kcmp, pid, pid, 0, 0, 0)
"""
    answers = await attacker.value(reach)
    assert {"EPERM"} == set(answers.values()), answers
    seen = {what: told for what, told in (await attacker.value(LOOK_AT_INIT)).items() if told not in REFUSED}
    assert {} == seen
    for pid in (outside.init_of(attacker.box), outside.init_of(neighbour.box), os.getpid()):
        if pid > 4 * LIMITS.processes:
            assert "ENOENT" == await attacker.value(f"result = attempt(os.open, '/proc/{pid}/mem', 2)")
    # The other lanes are the attacker's own and as hostile: what it reads of them is nothing new.
    scores = oom_scores(attacker)
    write = f"""
result = {{}}
for pid in [1, 'self', *{PEERS}]:
    for name in ('mem', 'oom_score_adj', 'comm', 'coredump_filter', 'clear_refs'):
        result[name, pid] = attempt(os.open, f'/proc/{{pid}}/{{name}}', os.O_WRONLY)
"""
    written = await attacker.value(write)
    if attacker.box.posture.landlock:
        assert {"EACCES"} == set(written.values()), written
    else:
        assert {"EACCES"} == {told for (name, pid), told in written.items() if (name, pid) == ("mem", 1)}
    assert scores == oom_scores(attacker)
    assert ["500"] * (len(scores) - 1) == list(scores.values())[1:]  # all but init
    assert await neighbour.is_well()
    observed(f"EPERM, {len(answers)} of {len(answers)}; /proc/1: EACCES; outside: ENOENT")


async def test_row_17_frames_written_after_the_runners_death_are_dropped(
    attacker: Attacker, neighbour: Attacker, observed: Callable[[str], None]
) -> None:
    forge = """
def frame(number):
    import json, struct
    reply = {'id': number, 'outcome': 'ok', 'value': {'result': "'forged'"}, 'error': None}
    body = json.dumps(reply).encode()
    return struct.pack('>I', len(body)) + body
if os.fork() == 0:
    import signal
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    os.setsid()
    if os.fork(): os._exit(0)
    while os.getppid() != 1: time.sleep(0.001)
    number = 0
    while True:
        try: os.write(4, frame(2 + number % 50))  # not 1: the open question is the attacker's to answer
        except OSError as error:
            open('/workspace/refused', 'w').write(_errno.errorcode[error.errno])
            time.sleep(600)
        number += 1
os.wait()
os._exit(0)
"""
    observation = await attacker.run(forge)
    if observation.outcome is Outcome.PROTOCOL_VIOLATION:  # a frame came before the death was noticed
        assert Ending.PROTOCOL_VIOLATION == await attacker.box.wait_ended()
        observed("session failed: protocol_violation")
        return
    assert (Outcome.KILLED, None) == (observation.outcome, observation.value)
    for expected in range(3):
        assert expected == await attacker.value(f"result = {expected}")  # on a pipe of its own
    await until(lambda: outside.used_disk(attacker.box)[0] > 0)
    final = await attacker.finish()
    assert "EPIPE" == final.text("refused")
    assert {"'forged'"}.isdisjoint(str(call.observation.value) for call in final.calls)
    observed("call killed; late frames get EPIPE")
