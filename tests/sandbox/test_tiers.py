"""The tiers without namespaces: what they refuse, what they still promise, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
import trio

from sandbox import launcher as launcher_module
from sandbox import owner, posture
from sandbox.errors import PostureMismatch, Unsupported
from sandbox.folders import name_folder, sweep
from sandbox.host import Host, examine_host
from sandbox.inside.plain import remove_tree
from sandbox.launcher import Launcher, open_launcher
from sandbox.linux import landlock
from sandbox.observation import Ending, Outcome
from sandbox.plain_plan import require_reachable
from tests.sandbox import handlers
from tests.sandbox.handlers import LOOPBACK, PROFILE, run, value
from tests.sandbox.kin import PATIENCE
from tests.sandbox.tiers import descendants, is_alive, parent_of, reachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sandbox.box import Box
    from sandbox.tiers import Tier

HERE = reachable(PROFILE)
SMALL = attrs.evolve(handlers.SMALL, processes=200)
"""With room: without namespaces the kernel counts by user, and the tests beside these are the same user's."""
HAS_LANDLOCK = landlock.abi() >= landlock.ABI_SCOPES
needs_landlock = pytest.mark.skipif(
    not HAS_LANDLOCK,
    reason=f"Landlock here is ABI {landlock.abi()}, and the tier needs {landlock.ABI_SCOPES}",
)
TIERS = [pytest.param("landlock", marks=needs_landlock), "none"]


@pytest.fixture(name="plain", params=TIERS)
async def _plain(request: pytest.FixtureRequest) -> AsyncIterator[Launcher]:
    tier: Tier = request.param
    async with open_launcher(tier=tier) as launcher:
        yield launcher


@pytest.fixture(name="confined")
async def _confined() -> AsyncIterator[Launcher]:
    async with open_launcher(tier="landlock") as launcher:
        yield launcher


async def wait_gone(*pids: int) -> None:
    """Wait until none of these is alive."""
    with trio.fail_after(PATIENCE):
        while any(map(is_alive, pids)):  # noqa: ASYNC110 - the kernel sets no event
            await trio.sleep(0.005)


def folder_of(box: Box) -> str:
    return os.readlink(f"/proc/self/fd/{box._tree}")  # noqa: PTH115 - a text is wanted


@pytest.mark.parametrize(("abi", "has"), [(0, "it has no Landlock"), (5, "its Landlock is ABI 5")])
async def test_a_kernel_without_the_scope_of_signals_is_refused_and_nothing_less_is_taken(
    abi: int, has: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(kernel=(6, 7), machine="x86_64", privileged=True, landlock=abi)
    monkeypatch.setattr(launcher_module, "examine_host", lambda: host)
    with pytest.raises(
        Unsupported, match=rf"'landlock' needs Landlock ABI 6, .* {has}: it takes Linux 6\.12"
    ):
        async with open_launcher(tier="landlock"):
            pytest.fail("it was opened")


async def test_a_profile_with_a_network_is_refused_by_name(plain: Launcher) -> None:
    with pytest.raises(Unsupported, match=r"'tests-loopback' wants a loopback, .* use the tier 'full'"):
        async with plain.open_sandbox(attrs.evolve(LOOPBACK, python=HERE.python), SMALL):
            pytest.fail("it was opened")


def test_an_interpreter_that_users_cannot_get_at_is_refused_with_the_remedy(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(0o700)
    with pytest.raises(Unsupported, match=rf"cannot get at {closed}/python.*: chmod o\+x {closed}"):
        require_reachable([f"{closed}/python"])


async def test_a_session_keeps_state_ends_and_leaves_what_it_wrote_to_be_captured(plain: Launcher) -> None:
    async with plain.open_sandbox(HERE, SMALL) as box:
        folder = folder_of(box)
        assert plain._tier == box.posture.tier
        await run(box, "import os; x = 41; os.makedirs('a'); print('text', file=open('a/b', 'w'))")
        assert 42 == await value(box, "x + 1")
        assert f"{folder}/workspace" == await value(box, "__import__('os').environ['HOME']")
        final = await box.finish()
    assert {"a/b": b"text\n"} == {path: file.data for path, file in final.files.items()}
    assert Ending.FINISHED == final.ended_by
    assert not os.path.exists(folder)  # noqa: ASYNC240, PTH110 - a moment


ESCAPES = {
    "a daemon": """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        while True: time.sleep(1)
    os._exit(0)
os.wait()
""",
    "one that adopts orphans itself": """
import ctypes, os, time
if os.fork() == 0:
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: time.sleep(600)
        os._exit(0)
    while True: time.sleep(1)
""",
    "stopped ones": """
import os, signal
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        os.kill(os.getpid(), signal.SIGSTOP)
""",
    "a storm of threads and forks": """
import os, threading, time
for _ in range(4):
    if os.fork() == 0:
        threads = [threading.Thread(target=time.sleep, args=(600,)) for _ in range(2)]
        [thread.start() for thread in threads]
        time.sleep(600)
""",
    "one that forks faster than it can be looked at": """
import os
if os.fork() == 0:
    os.setsid()
    while True:
        try:
            if os.fork(): os._exit(0)
        except OSError: pass
""",
}


async def test_whatever_a_session_starts_is_gone_before_it_is_over_and_no_other_is(plain: Launcher) -> None:
    async with plain.open_sandbox(HERE, SMALL) as other, plain.open_sandbox(HERE, SMALL) as box:
        init = box._init.pid()
        zygote = parent_of(init)
        theirs = {other._init.pid(), *descendants(other._init.pid())}
        started = len(descendants(init))
        for way, code in ESCAPES.items():
            assert Outcome.OK == (await run(box, code)).outcome, way
            assert len(descendants(init)) > started, way
        await box.finish()
        assert theirs == descendants(zygote)
        assert 2 == await value(other, "1 + 1")


@pytest.fixture(name="best")
async def _best() -> AsyncIterator[Launcher]:
    """Give the better of the tiers without namespaces; on this road they do not differ."""
    async with open_launcher(tier="landlock" if HAS_LANDLOCK else "none") as launcher:
        yield launcher


@pytest.mark.orphans
@pytest.mark.parametrize("victims", ["init", "zygote", "keeper", "zygote and keeper"])
async def test_whoever_of_ours_is_killed_nothing_is_left(best: Launcher, victims: str) -> None:
    async with best.open_sandbox(HERE, SMALL) as box:
        await run(box, ESCAPES["a daemon"])
        init = box._init.pid()
        zygote = parent_of(init)
        ours = {"init": init, "zygote": zygote, "keeper": parent_of(zygote)}
        everything = {init, zygote, *descendants(init)}
        assert 4 == len(everything)
        for name in victims.split(" and "):
            os.kill(ours[name], signal.SIGKILL)
        if victims == "keeper":
            assert 2 == await value(box, "1 + 1")
            return
        everything -= {zygote} if victims == "init" else set()
        await wait_gone(*everything)
        await box.wait_ended()
    async with best.open_sandbox(HERE, SMALL) as box:
        assert 2 == await value(box, "1 + 1")


SERVER = """
import sys
import trio
from sandbox.launcher import open_launcher
from tests.sandbox.handlers import run
from tests.sandbox.test_tiers import ESCAPES, HERE, SMALL

async def main():
    async with open_launcher(tier=sys.argv[1]) as launcher, launcher.open_sandbox(HERE, SMALL) as box:
        await run(box, ESCAPES["a daemon"])
        print(box._init.pid(), launcher._cages[HERE].folder, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


@pytest.mark.orphans
@pytest.mark.parametrize("tier", TIERS)
def test_a_server_killed_by_sigkill_leaves_neither_process_nor_folder(tier: str) -> None:
    command = [sys.executable, "-P", "-c", SERVER, tier]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        told = server.stdout.readline().split()
        init, folder = int(told[0]), Path(told[1])
        zygote = parent_of(init)
        everything = {init, zygote, parent_of(zygote), *descendants(init)}
        assert 5 == len(everything)
        assert folder.is_dir()
        server.kill()
    trio.run(wait_gone, *everything)
    assert not folder.exists()

    async def start_the_next() -> None:
        async with open_launcher(tier="none"):  # sweeps up the groups
            pass

    trio.run(start_the_next)


def test_the_next_start_removes_folders_of_the_dead_and_of_nobody_else() -> None:
    living, dead = Path(name_folder()), Path(name_folder())
    held = owner.make(str(living))
    for folder in (living, dead):
        (folder / "below").mkdir(parents=True)
    sweep()
    assert not dead.exists()
    assert living.exists()
    remove_tree(str(living))
    os.close(held)


@pytest.mark.orphans
def test_what_a_killed_servers_keeper_still_clears_up_no_other_start_removes() -> None:
    command = [sys.executable, "-P", "-c", SERVER, "none"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        told = server.stdout.readline().split()
        init, folder = int(told[0]), Path(told[1])
        zygote = parent_of(init)
        keeper = parent_of(zygote)
        everything = {init, zygote, keeper, *descendants(init)}
        os.kill(keeper, signal.SIGSTOP)
        server.kill()
    sweep()
    assert (folder / "library").is_dir()
    os.kill(keeper, signal.SIGCONT)
    trio.run(wait_gone, *everything)
    assert not folder.exists()

    async def start_the_next() -> None:
        async with open_launcher(tier="none"):  # sweeps up the groups
            pass

    trio.run(start_the_next)


async def test_a_posture_that_differs_kills_the_session_and_is_counted(
    plain: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    await plain.warm(HERE)
    golden = posture.golden_status
    for name in ("NoNewPrivs", "Seccomp_filters", "CapBnd", "CapEff"):

        def forged(tier: Tier, *, owns_user: bool, name: str = name) -> dict[str, str]:
            return golden(tier, owns_user=owns_user) | {name: "7"}

        with monkeypatch.context() as patched:
            patched.setattr(posture, "golden_status", forged)
            with pytest.raises(PostureMismatch, match=rf"{name} is '.*', not '7'; it was killed"):
                async with plain.open_sandbox(HERE, SMALL):
                    pytest.fail("it was opened")
    assert 4 == plain.mismatches
    assert 0 == plain.alive


async def test_a_session_that_writes_more_than_it_may_is_ended(best: Launcher) -> None:
    fill = """
import time
for number in range(64):
    open(f'{number}', 'wb').write(bytes(1 << 20))
time.sleep(60)
"""
    hidden = """
import os, time
files = [open('x', 'wb') for number in range(64) if not os.path.exists('x') or not os.unlink('x')]
for file in files: file.write(bytes(1 << 20)), file.flush()
time.sleep(60)
"""
    for code in (fill, hidden):
        async with best.open_sandbox(HERE, SMALL) as box:
            observation = await run(box, code)
            assert Outcome.KILLED == observation.outcome
            await box.wait_ended()
    async with best.open_sandbox(HERE, SMALL) as box:
        too_long = await run(box, "open('x', 'wb', buffering=0).write(bytes(32 << 20)) == 16 << 20 or 1 / 0")
        assert Outcome.OK == too_long.outcome


async def test_root_gives_each_session_a_user_and_an_ordinary_user_its_own(plain: Launcher) -> None:
    async with plain.open_sandbox(HERE, SMALL) as one, plain.open_sandbox(HERE, SMALL) as two:
        users = [await value(box, "__import__('os').getresuid()[0]") for box in (one, two)]
    if examine_host().privileged:
        assert 2 == len(set(users))
        assert min(users) > 0x70000000
    else:
        assert [os.geteuid()] * 2 == users


@needs_landlock
async def test_a_confined_session_reaches_no_file_process_or_socket_but_its_own(confined: Launcher) -> None:
    async with confined.open_sandbox(HERE, SMALL) as box, confined.open_sandbox(HERE, SMALL) as other:
        await run(other, "print('x', file=open('secret', 'w'))")
        theirs = f"{folder_of(other)}/workspace/secret"
        pids = {
            "init": box._init.pid(),
            "zygote": parent_of(box._init.pid()),
            "server": os.getpid(),
            "another's init": other._init.pid(),
            "another's lane": other._lanes["first"].process.pid(),
        }
        code = f"""
import errno, os, signal, socket
def attempt(function, *arguments):
    try: function(*arguments)
    except OSError as error: return errno.errorcode[error.errno]
    return 'done'
result = {{}}
for name, pid in {pids}.items():
    result[f'kill {{name}}'] = attempt(os.kill, pid, 0)
    result[f'environ of {{name}}'] = attempt(open, f'/proc/{{pid}}/environ')
for path in ('/etc/passwd', '/etc/hostname', '/proc/self/maps', '/proc/1/cmdline', '/sys', '/dev/shm',
             '/tmp', '/', '/run', '/var/log', '{theirs}', '{Path(__file__).parent}'):
    result[f'read {{path}}'] = attempt(os.open, path, os.O_RDONLY)
for path in ('/tmp/creche-left', '/dev/shm/creche-left', '/usr/left', '{theirs}', '{folder_of(box)}/../left'):
    result[f'write {{path}}'] = attempt(os.open, path, os.O_WRONLY | os.O_CREAT)
for family in (1, 2, 10, 16, 38): result[f'socket {{family}}'] = attempt(socket.socket, family)
result['datagrams'] = attempt(socket.socketpair, 1, socket.SOCK_DGRAM)
everybody = attempt(os.kill, -1, signal.SIGCONT)
"""
        answers = await value(box, code)
        assert {} == {key: found for key, found in answers.items()
                      if found not in ("EACCES", "EPERM", "ESRCH", "EAFNOSUPPORT", "ENOSYS")}  # fmt: skip
        assert 3 == await value(
            box, "(lambda a, b: (a.send(b'abc'), len(b.recv(9)))[1])(*socket.socketpair())"
        )
        assert all(map(is_alive, pids.values()))
        assert 2 == await value(other, "1 + 1")


@needs_landlock
@pytest.mark.skipif(examine_host().privileged, reason="as root sessions own nothing but what is theirs")
async def test_an_ordinary_users_session_cannot_change_what_that_user_owns(
    confined: Launcher, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.write_text("x")
    before = mine.stat()
    async with confined.open_sandbox(HERE, SMALL) as box:
        code = f"""
import errno, os
def attempt(function, *arguments):
    try: function('{mine}', *arguments)
    except OSError as error: return errno.errorcode[error.errno]
    return 'done'
result = sorted({{
    attempt(os.chmod, 0), attempt(os.chown, {os.getuid()}, -1), attempt(os.utime, (1, 1)),
    attempt(os.setxattr, 'user.a', b''), attempt(os.truncate, 0), attempt(os.unlink),
    attempt(os.rename, 'mine'), attempt(os.link, 'mine'),
}})
"""
        assert {"EACCES", "EPERM", "EXDEV"} >= set(await value(box, code))
    after = mine.stat()
    assert (before.st_mode, before.st_mtime_ns, before.st_size) == (
        after.st_mode,
        after.st_mtime_ns,
        after.st_size,
    )


@needs_landlock
async def test_a_kill_of_everybody_reaches_nobody_outside_of_its_lane(confined: Launcher) -> None:
    async with (
        confined.open_sandbox(HERE, SMALL) as box,
        confined.open_sandbox(HERE, SMALL) as other,
        trio.open_nursery() as nursery,
    ):
        # For an ordinary user all of these have the same user id.
        bystander: trio.Process = await nursery.start(trio.run_process, ["sleep", "600"])
        init = box._init.pid()
        watched = {bystander.pid, parent_of(init), init, *descendants(init), other._init.pid()}
        assert 2 == (await box.call("beside", {"code": "1 + 1"})).value
        beside = box._lanes["second"].process.pid()
        await run(box, "import os, signal; child = os.fork() or signal.pause(); os.kill(-1, signal.SIGKILL)")
        assert all(map(is_alive, watched | {beside}))
        assert 2 == await value(box, "1 + 1")
        assert 2 == await value(other, "1 + 1")
        nursery.cancel_scope.cancel()


def test_without_a_folder_to_write_to_they_are_refused_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise FileNotFoundError

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with pytest.raises(
        Unsupported, match=r"nothing there can be written; mount something there .* or set TMPDIR"
    ):
        sweep()
