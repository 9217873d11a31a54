"""What version 2 does without controllers, on this machine's own hierarchy; with them see test_cgroups_v2."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox import cgroup_tree
from sandbox.cgroup_tree import LEAF, below, find_home, leave, wait_empty
from sandbox.cgroups import Group, open_control_groups, sweep
from tests.sandbox.kin import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

DEAD = 2**22 + 1
FAMILY = """
import os, sys, time
os.write(int(sys.argv[1]), b"0")
if len(sys.argv) > 2 and os.fork() == 0:
    while os.fork() == 0: time.sleep(0.001)  # one process at a time, never for long the same
    os._exit(0)
print("in", flush=True)
time.sleep(600)
"""


@pytest.fixture(name="group")
def _group() -> Iterator[Path]:
    """Give a group of version 2 that has no controllers, in which nothing else is."""
    mount = cgroup_tree.mounts().get("")
    if mount is None:
        pytest.skip("no version 2 hierarchy is mounted here")
    around = below(mount, cgroup_tree.own_paths().get("", "/"))
    group = around / f"creche-{os.getpid()}-tree"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"{around}: {os.strerror(error.errno or 0)}")
    yield group
    for folder, _, _ in os.walk(group, topdown=False):
        assert wait_empty(Path(folder), PATIENCE)
        Path(folder).rmdir()


@pytest.fixture(name="home")
def _home(group: Path) -> Path:
    (group / LEAF).mkdir()
    return group


def start_in(group: Path, *more: str) -> subprocess.Popen[bytes]:
    with (group / "cgroup.procs").open("wb") as join:
        command = [sys.executable, "-I", "-S", "-c", FAMILY, str(join.fileno()), *more]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=[join.fileno()], process_group=0)
    assert child.stdout is not None
    assert child.stdout.readline() == b"in\n"
    return child


def end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.communicate()


def reap_family(child: subprocess.Popen[bytes]) -> None:
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-child.pid, 0)


def test_a_path_that_cannot_be_seen_from_here_stands_for_the_mount(tmp_path: Path) -> None:
    (tmp_path / "seen").mkdir()
    assert tmp_path / "seen" == below(tmp_path, "/seen")
    assert tmp_path == below(tmp_path, "/on/the/host")
    assert tmp_path == below(tmp_path, "/../..")


def test_a_server_in_the_leaf_makes_its_groups_beside_it_even_if_the_leaf_goes_meanwhile(
    tmp_path: Path,
) -> None:
    (tmp_path / "x.service").mkdir()
    assert tmp_path / "x.service" == find_home(tmp_path, f"/x.service/{LEAF}")
    assert tmp_path / "x.service" == find_home(tmp_path, "/x.service")


def test_a_server_in_the_subgroup_of_a_delegated_unit_makes_its_groups_beside_it(group: Path) -> None:
    unit = group / "x.service"
    for name in ("main", "y.scope"):
        (unit / name).mkdir(parents=True)
    assert unit / "main" == find_home(group, "/x.service/main")
    os.setxattr(unit, "user.delegate", b"1")
    assert unit == find_home(group, "/x.service/main")
    assert unit / "y.scope" == find_home(group, "/x.service/y.scope")
    os.setxattr(unit / "main", "user.delegate", b"1")
    assert unit / "main" == find_home(group, "/x.service/main")


def test_a_group_without_the_memory_controller_is_refused_by_name(
    group: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup_tree, "mounts", lambda: {"": group})
    monkeypatch.setattr(cgroup_tree, "own_paths", lambda: {"": "/"})
    monkeypatch.setattr(cgroup_tree, "REQUIRED", ("memory", "no_such_thing"))
    none = open_control_groups()
    assert 0 == none.version
    assert none.why_not.startswith(f"{group}/cgroup.controllers does not list ")
    assert none.why_not.endswith("no_such_thing")
    assert [] == [path.name for path in group.iterdir() if path.is_dir()]


def test_a_process_can_be_forked_into_a_group_and_is_in_it_from_the_start(group: Path) -> None:
    folder = os.open(group, os.O_PATH | os.O_DIRECTORY)
    code = (
        "import os, sys; from sandbox.linux.namespaces import fork_into\n"
        "pid, pidfd = fork_into(0, int(sys.argv[1]))\n"
        "if pid == 0: print(open('/proc/self/cgroup').read(), flush=True); os._exit(0)\n"
        "os.waitpid(pid, 0)"
    )
    command = [sys.executable, "-c", code, str(folder)]
    shown = subprocess.run(command, pass_fds=[folder], check=True, capture_output=True, text=True).stdout
    os.close(folder)
    assert [str(group)] == [
        str(cgroup_tree.mounts()[""]) + row.removeprefix("0::")
        for row in shown.splitlines()
        if row.startswith("0::")
    ]


def test_an_empty_group_is_not_waited_for_and_a_full_one_no_longer_than_asked(group: Path) -> None:
    assert wait_empty(group, 0)
    child = start_in(group)
    assert not wait_empty(group, 0.01)
    child.kill()
    assert wait_empty(group, PATIENCE)
    child.communicate()


def test_who_was_moved_to_the_leaf_moves_back_when_nobody_uses_the_home(home: Path) -> None:
    child = start_in(home / LEAF)
    leave(home)
    assert [str(child.pid)] == (home / "cgroup.procs").read_text().split()
    assert not (home / LEAF).exists()
    leave(home)
    end(child)


def test_a_killed_servers_processes_are_waited_for_and_its_groups_swept(group: Path) -> None:
    left = group / f"creche-{DEAD}-7" / "0"
    left.mkdir(parents=True)
    child = start_in(left)
    subprocess.run(["sh", "-c", f"sleep 0.1; kill -9 {child.pid}"], check=True)
    assert 1 == sweep(group)
    assert not left.parent.exists()
    child.communicate()


@pytest.mark.orphans
@pytest.mark.parametrize("is_frozen", [False, True])
def test_a_group_is_killed_while_it_forks_and_while_it_is_frozen(group: Path, is_frozen: bool) -> None:
    child = start_in(group, "and fork")
    if is_frozen:
        (group / "cgroup.freeze").write_text("1")
    Group({"memory": str(group), "pids": str(group)}, 2, []).kill()
    assert wait_empty(group, PATIENCE)
    child.communicate()
    assert -signal.SIGKILL == child.returncode
    reap_family(child)
