"""The control groups of this machine: made, bounded, joined, removed, and swept after a killed server."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox import cgroup_tree, owner
from sandbox.cgroups import ControlGroups, Group, open_control_groups, sweep
from sandbox.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

DEAD = 2**22 + 1
"""A pid above the highest that a kernel gives."""


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_dead_servers_groups_are_swept_and_a_living_ones_are_not(tmp_path: Path) -> None:
    own = owner.new_name()
    held = owner.make(str(tmp_path / own))
    (tmp_path / own / "0").mkdir()
    for name in (f"creche-{DEAD}-7", "creche-server", "user.slice", f"creche-{DEAD}"):
        (tmp_path / name / "0").mkdir(parents=True)
    (tmp_path / f"creche-{DEAD}-7" / "1").mkdir()
    assert 2 == sweep(tmp_path)
    assert sorted([own, "creche-server", "user.slice", f"creche-{DEAD}"]) == names_in(tmp_path)
    os.close(held)


def test_what_is_still_busy_is_left_to_the_next_sweep(tmp_path: Path) -> None:
    # In a real tree a group with processes in it cannot be removed; here a directory with something in it.
    (tmp_path / f"creche-{DEAD}-7" / "0" / "busy").mkdir(parents=True)
    (tmp_path / f"creche-{DEAD}-7" / "1").mkdir()
    assert 1 == sweep(tmp_path)
    (tmp_path / f"creche-{DEAD}-7" / "0" / "busy").rmdir()
    assert 1 == sweep(tmp_path)
    assert [] == names_in(tmp_path)


def test_the_groups_of_a_launcher_are_held_for_as_long_as_they_are_there(groups: ControlGroups) -> None:
    for folder in set(groups._parents.values()):
        sweep(folder.parent)
        assert folder.is_dir()


def test_without_any_there_is_no_group_and_the_reason_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup_tree, "mounts", dict)
    none = open_control_groups()
    assert (0, "no control group file system is mounted") == (none.version, none.why_not)
    assert none.make() is None
    none.close()


def test_where_they_cannot_be_written_the_path_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    closed = tmp_path / "closed"
    closed.write_text("a file, in which nothing can be made")
    monkeypatch.setattr(cgroup_tree, "mounts", lambda: {"memory": closed, "pids": closed})
    monkeypatch.setattr(cgroup_tree, "own_paths", lambda: {"memory": "/", "pids": "/"})
    none = open_control_groups()
    assert 0 == none.version
    assert str(closed) in none.why_not


@pytest.fixture(name="groups")
def _groups() -> Iterator[ControlGroups]:
    groups = open_control_groups()
    if not groups.version:
        pytest.skip(f"no control groups here: {groups.why_not}")
    yield groups
    groups.close()


@pytest.fixture(name="group")
def _group(groups: ControlGroups) -> Iterator[Group]:
    group = groups.make()
    assert group is not None
    yield group
    group.close()


def test_processes_over_the_bound_cannot_be_forked(group: Group) -> None:
    group.limit(Limits(processes=5))
    forked = _join_and(
        group,
        "n = 0\ntry:\n  while 1:\n    if not os.fork(): time.sleep(60)\n    n += 1\nexcept OSError: print(n)",
    )
    assert b"4\n" == forked


def test_memory_over_the_bound_is_counted_as_a_kill(group: Group) -> None:
    group.limit(Limits(memory_bytes=32 << 20))
    assert 0 == group.out_of_memory_kills()
    assert b"" == _join_and(group, "hoard = b'x' * (64 << 20); print('survived')")
    assert 1 == group.out_of_memory_kills()
    peak = group.peak_memory_bytes()
    assert peak is None or 16 << 20 < peak <= 32 << 20


def test_an_empty_group_counts_nothing(group: Group) -> None:
    assert 0 == group.pids()
    assert 0 == group.out_of_memory_kills()
    group.kill()


def test_each_session_has_groups_of_its_own(groups: ControlGroups) -> None:
    made = [group for group in (groups.make(), groups.make()) if group is not None]
    assert 2 == len({group._folders["pids"] for group in made})
    for group in made:
        group.close()
    assert not any(Path(folder).exists() for group in made for folder in group._folders.values())


def _join_and(group: Group, code: str) -> bytes:
    """Run `code` in a process that has joined the group, and return its first line; its family is killed."""
    joined = "import os, sys, time\nfor n in sys.argv[1:]: os.write(int(n), b'0')\n"
    with subprocess.Popen(
        [sys.executable, "-c", joined + code, *map(str, group.join)],
        stdout=subprocess.PIPE,
        pass_fds=group.join,
        process_group=0,
    ) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, 9)
    while group.pids():  # orphans of ours: the leak check made this process their new parent
        try:
            os.waitpid(-child.pid, 0)
        except ChildProcessError:
            break
    return line
