"""Starting, refusing to start, and what a failure to start leaves: nothing, and a launcher that goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
import trio

from sandbox import cage as cage_module
from sandbox import launcher as launcher_module
from sandbox.errors import Exhausted, Starved, Unsupported, WouldNotStart
from sandbox.host import Host
from sandbox.launcher import Launcher, open_launcher
from sandbox.profile import Handler, Profile
from tests.sandbox.faults import descriptors_below, descriptors_left, open_descriptors
from tests.sandbox.handlers import PROFILE, SMALL, handler, value
from tests.sandbox.kin import PATIENCE, zygote_of
from tests.sandbox.tiers import descendants, reachable

if TYPE_CHECKING:
    from sandbox.tiers import Tier


async def works(launcher: Launcher, profile: Profile = PROFILE) -> bool:
    async with launcher.open_sandbox(profile, SMALL) as box:
        return bool(2 == await value(box, "1 + 1"))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"python": "/nowhere/python"}, r"/nowhere/python does not run: .*set Profile.python"),
        ({"python": "/bin/true"}, r"/bin/true does not run"),
        ({"packages": ("no-such-distribution",)}, r"'no-such-distribution', which is not installed"),
        ({"site_packages": "/nowhere/site-packages"}, r"/nowhere/site-packages is no directory"),
        ({"handlers": ()}, r"has no handlers"),
        ({"preload": ("no_such_module",)}, r"preparing the zygote: ModuleNotFoundError"),
        ({"handlers": (Handler(name="a", lane="b", target="no_such_module:f"),)}, r"ModuleNotFoundError"),
        (
            {"handlers": (Handler(name="a", lane="b", target="x:f", source="def g(state): 1"),)},
            r"AttributeError",
        ),
        ({"handlers": (Handler(name="a", lane="b", target="x:f", source="def f("),)}, r"SyntaxError"),
        ({"handlers": (Handler(name="a", lane="b", target="x:f", source="exit(3)"),)}, r"SystemExit"),
    ],
)
async def test_a_profile_that_cannot_be_had_is_named_with_the_reason(
    launcher: Launcher, change: dict[str, object], complaint: str
) -> None:
    bad = attrs.evolve(PROFILE, **change)  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(Unsupported, match=complaint):
            async with launcher.open_sandbox(bad, SMALL):
                pytest.fail("it was opened")
    assert 0 == launcher.alive
    assert await works(launcher)


@pytest.fixture(name="threaded")
def _threaded(tmp_path: Path) -> str:
    (tmp_path / "threaded.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
    )
    tmp_path.chmod(0o755)
    return str(tmp_path)


async def test_a_preload_that_starts_a_thread_is_refused_by_name(launcher: Launcher, threaded: str) -> None:
    bad = attrs.evolve(PROFILE, site_packages=threaded, preload=("threaded",))
    with pytest.raises(Unsupported, match=r"preloading 'threaded' started 1 thread\(s\)"):
        await launcher.warm(bad)
    assert await works(launcher)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("{start}\ndef f(state): pass\n", "loading the tools' modules started 1 thread"),
        ("def f(state):\n  if '_started' not in globals():\n    globals()['_started'] = 1\n    {start}\n",
         "the rehearsal started 1 thread"),
    ],
)  # fmt: skip
async def test_tools_that_start_a_thread_ahead_of_all_calls_are_refused(
    launcher: Launcher, source: str, complaint: str
) -> None:
    start = "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
    threading = Handler(name="a", lane="b", target="x:f", source=source.format(start=start))
    with pytest.raises(Unsupported, match=complaint):
        await launcher.warm(attrs.evolve(PROFILE, handlers=(threading,), rehearsal="a"))
    assert await works(launcher)


async def test_a_zygote_that_dies_while_it_starts_is_an_error_and_no_hang(launcher: Launcher) -> None:
    dying = Handler(name="a", lane="b", target="x:f", source="import os; os._exit(3)")
    with pytest.raises(WouldNotStart, match="died while the cage was being built"):
        await launcher.warm(attrs.evolve(PROFILE, handlers=(dying,)))
    assert await works(launcher)


HANGING = Handler(name="a", lane="b", target="x:f", source="import time\nwhile True: time.sleep(600)")


@pytest.mark.parametrize("tier", ["full", "none"])
async def test_a_zygote_that_hangs_while_it_starts_is_gone_when_that_is_said(
    tier: Tier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cage_module, "READY_SECONDS", 0.5)
    async with open_launcher(tier=tier) as launcher:
        before = descendants(os.getpid())
        with trio.fail_after(PATIENCE), pytest.raises(WouldNotStart, match="was not ready within"):
            await launcher.warm(attrs.evolve(reachable(PROFILE), handlers=(HANGING,)))
        assert before == descendants(os.getpid())


async def test_who_waits_for_a_zygote_that_hangs_can_be_cancelled(launcher: Launcher) -> None:
    before = descendants(os.getpid())
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(launcher.warm, attrs.evolve(PROFILE, handlers=(HANGING,)))
            while len(descendants(os.getpid()) - before) < 2:  # noqa: ASYNC110 - the kernel sets no event
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    assert before == descendants(os.getpid())


@pytest.mark.parametrize("lane", ["import os; os._exit(3)", "import os; os.kill(os.getpid(), 9)"])
async def test_a_handler_that_kills_its_lane_harms_one_call_only(launcher: Launcher, lane: str) -> None:
    deadly = Handler(name="deadly", lane="other", target="x:f", source=f"def f(state):\n  {lane}\n")
    profile = attrs.evolve(PROFILE, handlers=(*PROFILE.handlers, deadly))
    async with launcher.open_sandbox(profile, SMALL) as box:
        assert "killed" == (await box.call("deadly", {})).outcome
        assert 2 == await value(box, "1 + 1")


async def test_a_kernel_too_old_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    old = Host(kernel=(5, 10), machine="x86_64", privileged=True, landlock=0)
    monkeypatch.setattr(launcher_module, "examine_host", lambda: old)
    with pytest.raises(Unsupported, match=r"Linux 5\.10 is too old .* upgrade the kernel"):
        async with open_launcher():
            pytest.fail("it was opened")


async def test_an_exception_of_the_body_comes_out_bare_and_everything_is_ended() -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_launcher() as launcher, launcher.open_sandbox(PROFILE, SMALL):
            raise ZeroDivisionError


async def test_a_launcher_that_nobody_used_leaves_nothing() -> None:
    async with open_launcher() as launcher:
        assert 0 == launcher.alive


async def test_sessions_that_start_at_once_share_one_cage(launcher: Launcher) -> None:
    cages: list[object] = []

    async def warm() -> None:
        cages.append(await launcher.warm(PROFILE))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(warm)
    assert 1 == len(set(map(id, cages)))


async def test_each_profile_has_a_cage_of_its_own(launcher: Launcher) -> None:
    other = attrs.evolve(PROFILE, handlers=(handler("run", "first"),))
    assert await launcher.warm(PROFILE) is not await launcher.warm(other)
    assert await works(launcher, other)


async def test_nothing_of_a_session_is_remembered_when_it_is_over(launcher: Launcher) -> None:
    for _ in range(5):
        assert await works(launcher)
    cage = await launcher.warm(PROFILE)
    assert {} == cage._births
    descriptors = len(open_descriptors())
    for _ in range(5):
        assert await works(launcher)
    assert descriptors == len(open_descriptors())


async def test_when_all_user_ids_are_lent_the_next_session_is_refused(launcher: Launcher) -> None:
    if not launcher.gives_users:
        pytest.skip("sessions all have the server's id here")
    free, launcher._free_ids = launcher._free_ids, deque([7])
    async with launcher.open_sandbox(PROFILE, SMALL):
        with pytest.raises(Exhausted, match="user ids"):
            async with launcher.open_sandbox(PROFILE, SMALL):
                pytest.fail("it was opened")
    assert [7] == list(launcher._free_ids)
    launcher._free_ids = free


async def test_a_session_has_another_user_than_the_one_before(launcher: Launcher) -> None:
    if not launcher.gives_users:
        pytest.skip("sessions all have the server's id here")
    users = []
    for _ in range(3):
        async with launcher.open_sandbox(PROFILE, SMALL) as box:
            users.append(os.stat(f"/proc/{box._lanes['first'].process.pid()}").st_uid)  # noqa: PTH116
    assert 3 == len(set(users))


@pytest.mark.parametrize("left", range(24))
async def test_a_session_for_which_there_are_no_descriptors_is_refused(launcher: Launcher, left: int) -> None:
    await launcher.warm(PROFILE)
    async with launcher.open_sandbox(PROFILE, SMALL) as neighbour:
        with descriptors_left(left):
            try:
                async with launcher.open_sandbox(PROFILE, SMALL):
                    pass
            except WouldNotStart:
                pass
        assert 2 == await value(neighbour, "1 + 1")
    assert await works(launcher)


@pytest.mark.parametrize("limit", range(8, 48))
async def test_a_session_for_which_the_zygote_has_no_descriptors_is_refused_and_no_other_ends(
    launcher: Launcher, limit: int
) -> None:
    await launcher.warm(PROFILE)
    async with launcher.open_sandbox(PROFILE, SMALL) as neighbour:
        zygote = zygote_of(neighbour)
        with descriptors_below(limit, zygote):
            try:
                async with launcher.open_sandbox(PROFILE, SMALL):
                    pass
            except WouldNotStart:
                pass
        assert 2 == await value(neighbour, "1 + 1")
        async with launcher.open_sandbox(PROFILE, SMALL) as fresh:
            assert zygote == zygote_of(fresh)


@pytest.mark.parametrize("left", [0, 1, 2, 3, 4, 6, 8, 10])
async def test_a_cage_for_which_there_are_no_descriptors_is_refused(launcher: Launcher, left: int) -> None:
    with descriptors_left(left), suppress(WouldNotStart):
        await launcher.warm(PROFILE)
    assert await works(launcher)


async def test_as_many_sessions_as_there_are_descriptors_for_and_then_an_error(launcher: Launcher) -> None:
    await launcher.warm(PROFILE)
    boxes = []
    with descriptors_left(100):
        async with AsyncExitStack() as stack:
            try:
                while True:
                    box = await stack.enter_async_context(launcher.open_sandbox(PROFILE, SMALL))
                    assert 2 == await value(box, "1 + 1")
                    boxes.append(box)
            except Exhausted:
                pass
            for box in boxes:
                assert 2 == await value(box, "1 + 1")
    assert len(boxes) >= 4
    assert await works(launcher)


@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="there is no /usr/bin/python3 here")
async def test_another_interpreter_can_be_had(launcher: Launcher) -> None:
    profile = attrs.evolve(PROFILE, python="/usr/bin/python3")
    async with launcher.open_sandbox(profile, SMALL) as box:
        assert (await value(box, "__import__('sys').executable")).startswith("/usr/bin/python3")


async def test_preloaded_modules_are_there_and_packages_let_in_are_only_those(launcher: Launcher) -> None:
    profile = attrs.evolve(PROFILE, packages=("attrs",), preload=("attr", "decimal"))
    async with launcher.open_sandbox(profile, SMALL) as box:
        assert await value(box, "import sys; result = {'attr', 'decimal'} <= set(sys.modules)")
        denied = (
            "names = []\n"
            "for name in ('trio', 'pytest', 'hypothesis', 'server', 'sandbox.box'):\n"
            "  try: __import__(name); names.append(name)\n"
            "  except ImportError: pass\n"
            "result = names"
        )
        assert [] == await value(box, denied)
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in (await launcher.warm(profile)).facts["python"]


BACKGROUND_JOB = """
import signal
import trio
from sandbox import lane
from sandbox.launcher import open_launcher
from tests.sandbox.handlers import BEGUN_SECONDS, PROFILE, SMALL, run
from tests.sandbox.kin import PATIENCE

async def main():
    async with open_launcher() as launcher, launcher.open_sandbox(PROFILE, SMALL) as box:
        look = "__import__('subprocess').check_output(['grep', '^Sig', '/proc/self/status']).decode()"
        print((await run(box, look)).value)
        late = await run(box, "import time; time.sleep(600)", seconds=BEGUN_SECONDS)
        print(late.interpreter_reset)

lane.GRACE_SECONDS = PATIENCE

for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, signal.SIGINT, signal.SIGUSR2))
trio.run(main)
"""


def test_what_a_server_in_the_background_ignores_or_blocks_no_session_does() -> None:
    command = [sys.executable, "-P", "-c", BACKGROUND_JOB]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)
    assert (0, "") == (done.returncode, done.stderr)
    told = dict(line.split() for line in done.stdout.splitlines() if line.startswith("Sig"))
    # The C library ignores its own two in whatever it spawns.
    assert (0, 0) == (int(told["SigBlk:"], 16), int(told["SigIgn:"], 16) & ~(0b11 << 31))
    assert "False" == done.stdout.split()[-1]  # and a call can be interrupted


@pytest.mark.parametrize("left", range(0, 12, 2))
async def test_a_lane_for_which_there_are_no_descriptors_is_refused_and_the_session_goes_on(
    launcher: Launcher, left: int
) -> None:
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        await value(box, "kept = 1\n")
        with descriptors_left(left):
            with suppress(Starved):
                await value(box, "1", beside=True)
            assert 1 == await value(box, "kept")
        assert 1 == await value(box, "1", beside=True)


@pytest.mark.parametrize("left", range(6))
async def test_a_final_state_is_whole_or_an_error_and_never_short_of_our_own_fault(
    launcher: Launcher, left: int
) -> None:
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        await value(box, "import os; os.makedirs('a/b'); open('a/b/c', 'w').write('x')\n")
        with descriptors_left(left), suppress(Starved):
            assert ["a/b/c"] == list((await box.finish()).files)
        assert ["a/b/c"] == list((await box.finish()).files)
