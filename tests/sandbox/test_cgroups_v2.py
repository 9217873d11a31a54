"""Version 2 with its controllers: limits, shares, ends, and a home that several servers use.

Skipped where version 1 has the controllers. `scripts/test-cgroup2` runs it in a guest where version 2 has
them, as root and as an ordinary user with a delegated group.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from sandbox import cgroup_tree
from sandbox.cgroup_tree import LEAF, below, wait_empty
from sandbox.cgroups import ControlGroups, Group, open_control_groups
from sandbox.limits import Limits
from sandbox.observation import Ending
from tests.sandbox.handlers import PROFILE, SMALL, run, value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.box import Box
    from sandbox.launcher import Launcher

LIVE_AND_LET_LIVE = """
import sys
from sandbox.cgroups import open_control_groups
from sandbox.limits import Limits
for _ in range(12):
    groups = open_control_groups()
    assert groups.version == 2, groups.why_not
    group = groups.make()
    group.limit(Limits())
    group.close()
    groups.close()
print("well")
"""


def _why_skipped() -> str:
    groups = open_control_groups()
    groups.close()
    return "" if groups.version == 2 else groups.why_not or "control groups here are of version 1"


WHY_SKIPPED = _why_skipped()
pytestmark = pytest.mark.skipif(bool(WHY_SKIPPED), reason=WHY_SKIPPED)


@pytest.fixture(name="groups")
def _groups() -> Iterator[ControlGroups]:
    groups = open_control_groups()
    assert groups.version == 2
    yield groups
    groups.close()


@pytest.fixture(name="group")
def _group(groups: ControlGroups) -> Iterator[Group]:
    group = groups.make()
    assert group is not None
    yield group
    group.close()


def own_group() -> Path:
    return below(cgroup_tree.mounts()[""], cgroup_tree.own_paths()[""])


def folder_of(group: Group | None) -> Path:
    assert group is not None
    return Path(group._folders["memory"])


def setting(group: Group | None, name: str) -> str:
    return (folder_of(group) / name).read_text().strip()


def shown_group(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::")


async def eventually(condition: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - the kernel changes it, and tells nobody
            await trio.sleep(0.01)


def spin(group: Group, processes: int) -> list[subprocess.Popen[bytes]]:
    """Start processes that share the first processor and do nothing but use it."""
    code = "import os, sys; os.sched_setaffinity(0, {0}); os.write(int(sys.argv[1]), b'0')\nwhile True: pass"
    with (folder_of(group) / "cgroup.procs").open("wb") as join:
        number = join.fileno()
        command = [sys.executable, "-I", "-S", "-c", code, str(number)]
        return [subprocess.Popen(command, pass_fds=[number]) for _ in range(processes)]


def _use_of(groups: tuple[Group, ...], together: float) -> list[float]:
    """Return the groups' processor seconds as soon as they have used so many together."""
    deadline = time.monotonic() + 120
    while sum(use := [group.cpu_seconds() or 0 for group in groups]) < together:
        assert time.monotonic() < deadline, use
        time.sleep(0.01)
    return use


def test_bounds_are_as_set(group: Group) -> None:
    group.limit(Limits(memory_bytes=64 << 20, processes=7))
    names = ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max")
    assert [str(64 << 20), "0", "0", "7"] == [setting(group, name) for name in names]


def test_the_high_water_mark_of_memory_is_known_from_linux_5_19_on(group: Group) -> None:
    release = tuple(map(int, os.uname().release.split(".")[:2]))
    assert (release >= (5, 19)) == (group.peak_memory_bytes() is not None)


def test_the_server_moves_to_a_leaf_and_back() -> None:
    before = own_group()
    first = open_control_groups()
    assert before / LEAF == own_group()
    second = open_control_groups()
    first.close()
    assert before / LEAF == own_group()
    group = second.make()
    assert group is not None
    group.limit(Limits())
    group.close()
    second.close()
    assert before == own_group()
    assert not (before / LEAF).exists()
    assert "" == (before / "cgroup.subtree_control").read_text().strip()


def test_a_server_started_by_one_in_the_leaf_has_the_same_home(groups: ControlGroups) -> None:
    home = own_group().parent
    assert LEAF == own_group().name
    subprocess.run([sys.executable, "-c", LIVE_AND_LET_LIVE], check=True, stdout=subprocess.DEVNULL)
    assert home / LEAF == own_group()
    subtrees = [path.name for path in home.iterdir() if path.is_dir() and path.name != LEAF]
    assert [f"creche-{os.getpid()}"] == [name.rpartition("-")[0] for name in subtrees]


def test_servers_that_open_and_close_at_the_same_time_do_not_disturb_each_other() -> None:
    before = own_group()
    command = [sys.executable, "-c", LIVE_AND_LET_LIVE]
    servers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    assert [b"well\n"] * 3 == [server.communicate()[0] for server in servers]
    assert before == own_group()
    assert not (before / LEAF).exists()


def test_the_processor_is_shared_by_sessions_not_by_processes(groups: ControlGroups, group: Group) -> None:
    crowd = groups.make()
    assert crowd is not None
    spinners = spin(group, 1)
    spinners += spin(crowd, 6)
    before = _use_of((group, crowd), 0.5)
    after = _use_of((group, crowd), sum(before) + 1)
    alone, crowded = (now - then for now, then in zip(after, before, strict=True))
    crowd.kill()
    group.kill()
    for spinner in spinners:
        spinner.wait()
    crowd.close()
    assert crowded < 2 * alone  # without the controller it would be six times as much


async def test_a_session_is_in_its_own_group_from_which_it_cannot_see_the_rest(box: Box) -> None:
    assert "cgroup v2" == box.posture.memory_bound_by
    assert str(folder_of(box._group)).endswith(shown_group(box._init.pid()))
    assert "0::/" == (await value(box, "open('/proc/self/cgroup').read()")).strip()


async def test_a_session_is_forked_into_its_group_and_need_not_be_moved(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_make = ControlGroups.make

    def make_one_that_nobody_can_join(groups: ControlGroups) -> Group | None:
        group = really_make(groups)
        assert group is not None
        os.dup2(nowhere, group.join[0], inheritable=False)
        return group

    nowhere = os.open("/dev/null", os.O_WRONLY)
    monkeypatch.setattr(ControlGroups, "make", make_one_that_nobody_can_join)
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        assert str(folder_of(box._group)).endswith(shown_group(box._init.pid()))
    os.close(nowhere)


async def test_the_time_of_what_ran_in_the_background_is_counted_too(box: Box) -> None:
    await run(box, "import subprocess; subprocess.Popen(['sh', '-c', 'while :; do :; done'])\n")
    await eventually(lambda: ((box._group and box._group.cpu_seconds()) or 0) > 1)
    assert 1 < (await box.finish()).usage.cpu_seconds < 60


async def test_a_frozen_session_is_ended_all_the_same(launcher: Launcher) -> None:
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        await run(box, "import os, time\nfor _ in range(5):\n  if os.fork() == 0: time.sleep(600)\n")
        folder = folder_of(box._group)
        (folder / "cgroup.freeze").write_text("1")
        await eventually(lambda: "frozen 1" in setting(box._group, "cgroup.events"))
        with trio.fail_after(30):
            assert Ending.FINISHED == (await box.finish()).ended_by
        assert wait_empty(folder, 0)


async def test_what_is_killed_by_its_group_ends_the_session_and_leaves_nothing(launcher: Launcher) -> None:
    bomb = "import os\nif os.fork() == 0:\n  while True:\n    try: os.fork()\n    except OSError: pass"
    async with launcher.open_sandbox(PROFILE, SMALL) as box, launcher.open_sandbox(PROFILE, SMALL) as other:
        await run(box, bomb)
        assert box._group is not None
        box._group.kill()
        with trio.fail_after(30):
            assert Ending.KILLED == await box.wait_ended()
        assert wait_empty(folder_of(box._group), 0)
        assert 1 == await value(other, "1")
