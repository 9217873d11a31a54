"""Which ids an ordinary user can give to its sessions, and sessions that have them.

`scripts/test-as-user` gives its user a range, so all other tests see sessions with ids of their own, too.
Here are those that need to know, and those of the user without one.
"""

from __future__ import annotations

import os
import platform
import pwd
import shutil
import signal
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox import subordinate
from sandbox.cage import Birth, Cage
from sandbox.errors import WouldNotStart
from sandbox.host import examine_host
from sandbox.launcher import Launcher, open_launcher
from sandbox.observation import Ending
from sandbox.obstacles import Obstacle
from tests.attacks.attacker import status_of
from tests.sandbox.handlers import PROFILE, SMALL, run, value
from tests.sandbox.kin import zygote_of
from tests.sandbox.ranges import no_range, with_a_range

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.box import Box

USER = os.geteuid()
KERNEL = examine_host().kernel

as_ordinary_user = pytest.mark.skipif(USER == 0, reason="root needs nobody to grant it ids")


@pytest.fixture(name="grant")
def _grant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, str], None]:
    """Give a function that has /etc/subuid and /etc/subgid hold what it is given."""

    def grant(users: str, groups: str) -> None:
        for name, path, content in (("_USERS", "subuid", users), ("_GROUPS", "subgid", groups)):
            (tmp_path / path).write_text(content, "utf-8")
            monkeypatch.setattr(subordinate, name, tmp_path / path)

    return grant


@pytest.fixture(name="name")
def _name() -> str:
    try:
        return pwd.getpwuid(USER).pw_name
    except KeyError:
        pytest.skip("this user has no account, and so can have no range")


def granted(users: str, groups: str, grant: Callable[[str, str], None]) -> tuple[int, int] | str:
    """Return first id and count of what would be tried, or the cause of there being nothing to try."""
    grant(users, groups)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(subordinate, "_try", lambda ids: Obstacle(f"{ids.first} {ids.count}", ""))
        found = subordinate.find()
    assert isinstance(found, Obstacle)
    first, _, count = found.cause.partition(" ")
    return (int(first), int(count)) if first.isdecimal() else found.cause


NAMED = "someone:100000:65536\nNAME:200000:65536\n"
NUMBERED = f"# a comment\n\nsomeone:x\n  {USER}:200000:65536\n"
HALVES = "NAME:200000:10000\nNAME:204000:6000\nNAME:300000:70000\n"


@pytest.mark.parametrize(
    ("users", "groups", "found"),
    [
        (NAMED, NAMED, (200_000, 65_535)),
        (NUMBERED, NAMED, (200_000, 65_535)),
        ("NAME:200000:5000\n", "NAME:200000:5000\n", (200_000, 5_000)),
        (HALVES, NAMED, (200_000, 10_000)),
        (HALVES, HALVES, (300_000, 65_535)),
        ("NAME:200000:65536\n", "NAME:210000:65536\n", (210_000, 55_536)),
    ],
    ids=[
        "by name",
        "by number",
        "less than is usual",
        "of one the common part",
        "the longest",
        "overlapping",
    ],
)
def test_the_longest_range_that_both_files_grant_is_taken(
    users: str, groups: str, found: tuple[int, int], name: str, grant: Callable[[str, str], None]
) -> None:
    if shutil.which("newuidmap", path=subordinate._PATH) is None:
        pytest.skip("newuidmap is not installed here")
    assert found == granted(users.replace("NAME", name), groups.replace("NAME", name), grant)


@pytest.mark.parametrize(
    ("users", "groups"),
    [
        ("", ""),
        (NAMED, ""),
        (NAMED, "NAME:300000:65536\n"),
        ("NAME:200000:4095\n", NAMED),
        ("NAMELY:200000:65536\n", "NAMELY:200000:65536\n"),
        ("NAME:-5:65536\nNAME:200000\nNAME:200000:many\nNAME\n", NAMED),
    ],
    ids=["none", "no groups", "other groups", "too few", "another's", "nonsense"],
)
def test_without_a_range_the_remedy_grants_one_that_is_free(
    users: str, groups: str, name: str, grant: Callable[[str, str], None]
) -> None:
    grant(users.replace("NAME", name), groups.replace("NAME", name))
    found = subordinate.find()
    assert isinstance(found, Obstacle)
    assert f"user {name} has no 4096 ids that follow one another in both " in found.cause
    free = max([100_000, *(end for path in (users, groups) for end in _ends(path))])
    span = f"{free}-{free + 65_535}"
    assert f"sudo usermod --add-subuids {span} --add-subgids {span} {name}" == found.remedy


def _ends(content: str) -> list[int]:
    rows = (row.split(":")[1:] for row in content.splitlines())
    return [int(row[0]) + int(row[1]) for row in rows if len(row) == 2 and "".join(row).isdecimal()]


def test_files_that_are_not_there_grant_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setattr(subordinate, "_USERS", tmp_path / "absent")
    found = subordinate.find()
    assert isinstance(found, Obstacle)
    assert f"user {name} has no 4096 ids" in found.cause


def test_what_maps_the_ids_is_asked_for_by_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, grant: Callable[[str, str], None]
) -> None:
    grant(NAMED.replace("NAME", name), NAMED.replace("NAME", name))
    monkeypatch.setattr(subordinate, "_PATH", str(tmp_path))
    found = subordinate.find()
    assert isinstance(found, Obstacle)
    assert "newuidmap and newgidmap, which map it, are not installed" in found.cause
    assert found.remedy.startswith("sudo apt-get install uidmap")


@with_a_range
def test_a_range_that_was_not_granted_is_refused_in_newuidmaps_words(
    name: str, grant: Callable[[str, str], None]
) -> None:
    stolen = f"{name}:500000000:65536\n"
    grant(stolen, stolen)
    found = subordinate.find()
    assert isinstance(found, Obstacle)
    assert "its range of ids was refused: newuidmap: uid range " in found.cause


@pytest.mark.skipif(USER == 0 or KERNEL >= (6, 3), reason="newer kernels can show files under other ids")
def test_a_kernel_that_is_too_old_is_named(name: str) -> None:
    found = subordinate.find()
    assert isinstance(found, Obstacle)
    assert f"Linux {platform.release()} cannot show the server files of other ids as its own (EINVAL)" == (
        found.cause
    )
    assert "upgrade the kernel to 6.3 or later" == found.remedy


async def users_of(*boxes: Box) -> list[int]:
    """Return as whom sessions run on this host, having seen that it is one user and its group."""
    users: list[int] = []
    for box in boxes:
        await value(box, "1", beside=True)
        rows = [
            status_of(pid) for pid in (box._init.pid(), *(lane.process.pid() for lane in box._lanes.values()))
        ]
        (user,) = {number for row in rows for number in (*row["Uid"].split(), *row["Gid"].split())}
        users.append(int(user))
    return users


SHUT = """
import os
os.mkdir('shut')
open('shut/file', 'w').write('found')
os.chmod('shut/file', 0), os.chmod('shut', 0), os.chmod('/workspace', 0)
"""


@with_a_range
async def test_each_session_has_an_id_of_the_range_and_none_of_the_servers_groups(launcher: Launcher) -> None:
    ids = launcher.ids
    assert ids is not None
    async with launcher.open_sandbox(PROFILE, SMALL) as one, launcher.open_sandbox(PROFILE, SMALL) as two:
        users = await users_of(one, two)
        assert 2 == len(set(users))
        assert set(users) <= set(range(ids.first, ids.first + ids.count))
        assert USER not in users
        assert os.getgroups()  # as `scripts/test-as-user` has it
        assert [""] * 2 == [status_of(box._init.pid())["Groups"] for box in (one, two)]
        assert "own" == one.posture.user


@with_a_range
async def test_an_id_is_given_again_only_when_its_owner_is_gone(launcher: Launcher) -> None:
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        (first,) = await users_of(box)
        async with launcher.open_sandbox(PROFILE, SMALL) as neighbour:
            assert [first] != await users_of(neighbour)
        await box.finish()
        async with launcher.open_sandbox(PROFILE, SMALL) as neighbour:
            assert [first] != await users_of(neighbour)
    launcher._free_ids = deque([launcher._free_ids[-1]])  # the one that was given back last
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        assert [first] == await users_of(box)


@with_a_range
async def test_what_a_session_has_shut_is_captured_although_its_zygote_is_dead(launcher: Launcher) -> None:
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        await run(box, SHUT)
        os.kill(zygote_of(box), signal.SIGKILL)
        assert Ending.CAGE_LOST == await box.wait_ended()
        final = await box.finish()
    assert {"shut/file": b"found"} == {path: file.data for path, file in final.files.items()}
    assert () == final.rejected


@with_a_range
async def test_a_session_whose_files_stay_anothers_never_comes_to_be(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Cage.show

    def show_another(cage: Cage, birth: Birth, _tree: int) -> None:
        with Path("/dev/null").open("rb") as other:
            shown(cage, birth, other.fileno())

    with monkeypatch.context() as patched:
        patched.setattr(Cage, "show", show_another)
        for _ in range(3):
            with pytest.raises(
                WouldNotStart, match=r"not shown the session's files: .*mount_setattr: Invalid"
            ):
                async with launcher.open_sandbox(PROFILE, SMALL):
                    pytest.fail("it was opened")
    async with launcher.open_sandbox(PROFILE, SMALL) as box:  # in the same cage
        assert 2 == await value(box, "1 + 1")


@as_ordinary_user
async def test_without_a_range_sessions_share_the_servers_id_and_say_so() -> None:
    with no_range():
        async with (
            open_launcher() as launcher,
            launcher.open_sandbox(PROFILE, SMALL) as one,
            launcher.open_sandbox(PROFILE, SMALL) as two,
        ):
            assert [USER, USER] == await users_of(one, two)
            assert "shared" == one.posture.user
            await run(one, SHUT)
            final = await one.finish()
            assert {"shut/file": b"found"} == {path: file.data for path, file in final.files.items()}
            assert 2 == await value(two, "1 + 1")
