"""The check from outside must notice what is missing: it is tried on processes that lack something."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from sandbox import birth, posture
from sandbox.errors import PostureMismatch, WouldNotStart
from sandbox.posture import check, own_user
from tests.sandbox.handlers import PROFILE, SMALL, value
from tests.sandbox.kin import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.box import Box
    from sandbox.launcher import Launcher


@pytest.fixture(name="free")
def _free() -> Iterator[int]:
    """Give a process that is confined in no way."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child.pid
        child.communicate(b"\n")


def test_a_process_that_is_not_confined_is_a_mismatch(free: int) -> None:
    with pytest.raises(PostureMismatch, match=rf"process {free} of the session: .* it was killed"):
        check((free,), own_user())


@pytest.mark.parametrize(
    ("look", "named"),
    [
        (lambda pid: posture._check_status(pid, own_user(), posture._STATUS), "NoNewPrivs"),
        (posture._check_namespaces, "the user namespace"),
        (lambda pid: posture._check_maps(pid, own_user()), "uid_map"),
        (lambda pid: posture._check_mounts(pid, "overlay"), "mount /"),
    ],
    ids=["status", "namespaces", "maps", "mounts"],
)
def test_each_part_of_the_check_notices_by_itself(free: int, look: object, named: str) -> None:
    assert callable(look)
    with pytest.raises(PostureMismatch, match=named):
        look(free)


def test_a_process_that_is_gone_is_no_mismatch_but_an_error() -> None:
    with pytest.raises(OSError, match="No such file"):
        check((2**22 + 1,), own_user())


def outside_user(launcher: Launcher, box: Box) -> int:
    if launcher.ids is None:
        return own_user()
    user = int(Path(f"/proc/{pids(box)[1]}/status").read_text().partition("\nUid:\t")[2].split()[0])
    assert launcher.ids.first <= user < launcher.ids.first + launcher.ids.count
    return user


def pids(box: Box) -> tuple[int, int]:
    return box._init.pid(), box._lanes["first"].process.pid()


def mount_table(box: Box) -> str:
    return Path(f"/proc/{pids(box)[0]}/mountinfo").read_text()


async def test_a_real_session_passes_and_each_forged_promise_does_not(
    launcher: Launcher, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trio.lowlevel.checkpoint()
    user = outside_user(launcher, box)
    check(pids(box), user)
    with pytest.raises(PostureMismatch, match=r"Uid|Groups"):  # who has its own has no groups
        check(pids(box), user + 1)
    for name in posture._STATUS:
        with monkeypatch.context() as forged:
            forged.setitem(posture._STATUS, name, "something else")
            with pytest.raises(PostureMismatch, match=name):
                check(pids(box), user)
    for name in posture._NAMESPACES:
        theirs = os.readlink(f"/proc/{pids(box)[0]}/ns/{name}")  # noqa: PTH115 - a text is wanted
        with monkeypatch.context() as forged:
            forged.setattr(posture, "_own_namespaces", lambda name=name, theirs=theirs: {name: theirs})
            with pytest.raises(PostureMismatch, match=f"the {name} namespace"):
                check(pids(box), user)
    with monkeypatch.context() as forged:
        forged.setattr(posture, "_WRITABLE", frozenset({"/proc", "/tmp", "/dev/shm"}))
        with pytest.raises(PostureMismatch, match="mount /workspace"):
            check(pids(box), user)


MANY_MOUNTS = attrs.evolve(PROFILE, name="tests-mounts", packages=("schemathesis", "matplotlib", "pandas"))
"""With what they require these are dozens of packages, each with mounts of its own."""


async def test_of_a_mount_table_longer_than_a_page_the_end_is_checked_too(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with launcher.open_sandbox(MANY_MOUNTS, SMALL) as box:
        table = mount_table(box)
        assert len(table) > 2 * 4096
        last = table.splitlines()[-1].split()[4]
        check(pids(box), outside_user(launcher, box))
        monkeypatch.setitem(posture._FILE_SYSTEMS, last, "ext2")
        with pytest.raises(PostureMismatch, match=rf"mount {last} is '\w+', not 'ext2'"):
            check(pids(box), outside_user(launcher, box))


async def test_a_mount_that_is_not_there_is_a_mismatch(
    launcher: Launcher, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trio.lowlevel.checkpoint()
    monkeypatch.setitem(posture._FILE_SYSTEMS, "/nowhere", "tmpfs")
    with pytest.raises(PostureMismatch, match="mount /nowhere is 'missing'"):
        check(pids(box), outside_user(launcher, box))


async def test_a_session_whose_posture_differs_never_comes_to_be(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as forged:
        forged.setitem(posture._STATUS, "Seccomp", "0")
        for _ in range(3):
            with pytest.raises(PostureMismatch, match="Seccomp is '2', not '0'"):
                async with launcher.open_sandbox(PROFILE, SMALL):
                    pytest.fail("it was opened")
    assert 3 == launcher.mismatches
    assert 0 == launcher.alive
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        assert 2 == await value(box, "1 + 1")


@pytest.mark.parametrize("which", [0, 1], ids=["init", "lane"])
@pytest.mark.parametrize("look", [check, lambda *_, **__: check((2**22 + 1,), own_user())])
async def test_a_session_that_dies_while_it_is_checked_did_not_start_and_is_no_mismatch(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch, which: int, look: Callable[..., None]
) -> None:
    def kill_and_look(pids: tuple[int, ...], *args: Any, **promises: Any) -> None:
        os.kill(pids[which], signal.SIGKILL)
        monkeypatch.setitem(
            posture._STATUS, "Seccomp", "0"
        )  # some of what is looked at is not there any more
        look(pids, *args, **promises)

    await launcher.warm(PROFILE)
    monkeypatch.setattr(posture, "check", kill_and_look)
    monkeypatch.setattr(birth, "DYING_SECONDS", PATIENCE)  # others may be busy, too: dying is work
    with pytest.raises(WouldNotStart, match="died while it was checked") as caught:
        async with launcher.open_sandbox(PROFILE, SMALL):
            pytest.fail("it was opened")
    assert WouldNotStart is type(caught.value)
    assert 0 == launcher.mismatches


@pytest.mark.needs_root
def test_groups_of_the_server_reach_no_session() -> None:
    code = """
import os
os.setgroups([0, 4, 27])
import trio
from sandbox.launcher import open_launcher
from tests.sandbox.handlers import PROFILE, SMALL, value
async def main():
    async with open_launcher() as launcher, launcher.open_sandbox(PROFILE, SMALL) as box:
        print(await value(box, "__import__('os').getgroups()"), launcher.mismatches)
trio.run(main)
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False, timeout=150
    )
    assert "[] 0\n" == done.stdout, done.stderr


async def test_what_is_promised_is_what_this_machine_gives(launcher: Launcher, box: Box) -> None:
    await trio.lowlevel.checkpoint()
    assert "full" == box.posture.tier
    assert launcher.host.landlock == box.posture.landlock
    assert "none" == box.posture.network
    version = launcher._control_groups.version
    assert (f"cgroup v{version}" if version else "watchdog") == box.posture.memory_bound_by
    assert ("shared" if outside_user(launcher, box) == own_user() else "own") == box.posture.user
    assert launcher.posture(PROFILE) == box.posture
