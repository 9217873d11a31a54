"""The leak check itself, by really leaking."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests import leaks

NO_PATIENCE = 0.02
PATIENCE = 60.0


@pytest.fixture(name="before")
def _before() -> leaks.Snapshot:
    return leaks.take()


def test_nothing_left_is_found_without_waiting(before: leaks.Snapshot) -> None:
    started = time.monotonic()

    assert [] == leaks.wait_for_nothing(before, seconds=PATIENCE)
    assert time.monotonic() - started < PATIENCE / 2


def test_a_living_child_is_found(before: leaks.Snapshot) -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        left = leaks.wait_for_nothing(before, seconds=NO_PATIENCE)
        child.kill()

    assert [f"process {child.pid} (sleep): alive"] == left
    assert [] == leaks.wait_for_nothing(before, seconds=0)


def test_a_child_that_nobody_waited_for_is_found(before: leaks.Snapshot) -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    assert [f"process {pid} (true): dead, but nobody waited for it"] == leaks.left_since(before)
    assert [] == leaks.wait_for_nothing(before, seconds=0, reap=True)


def test_an_orphan_is_found_however_it_got_away(before: leaks.Snapshot) -> None:
    subprocess.run(["setsid", "sh", "-c", "sleep 60 & exit"], check=True)

    left = leaks.wait_for_nothing(before, seconds=NO_PATIENCE)
    leaks.end_children(before)

    assert 1 == len(left)
    assert re.search(
        r"\((sh|sleep)\): alive$", left[0]
    )  # between its fork and its exec it has the shell's name
    assert [] == leaks.wait_for_nothing(before, seconds=0)


@pytest.mark.orphans
def test_an_orphan_that_dies_by_itself_is_waited_for(before: leaks.Snapshot) -> None:
    subprocess.run(["sh", "-c", "sleep 0.1 & exit"], check=True)

    assert [] == leaks.wait_for_nothing(before, seconds=PATIENCE, reap=True)


def test_an_open_descriptor_is_found_and_its_number_does_not_matter(
    before: leaks.Snapshot, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT)
    left = leaks.wait_for_nothing(before, seconds=NO_PATIENCE)
    os.close(descriptor)

    assert [f"descriptor of {file}"] == left
    assert [] == leaks.left_since(before)


def test_a_second_descriptor_of_the_same_file_is_found(before: leaks.Snapshot) -> None:
    descriptor = os.dup(0)
    left = leaks.left_since(before)
    os.close(descriptor)

    assert [f"descriptor of {Path('/proc/self/fd/0').readlink()}"] == left


def test_a_temporary_directory_of_ours_is_found(before: leaks.Snapshot) -> None:
    with tempfile.TemporaryDirectory(prefix="creche-") as folder:
        assert [f"temporary file {folder}"] == leaks.left_since(before)


def test_a_temporary_directory_of_ours_is_found_when_a_child_makes_it(before: leaks.Snapshot) -> None:
    command = "import tempfile; print(tempfile.mkdtemp(prefix='creche-'))"
    made = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, text=True)
    left = leaks.left_since(before)
    Path(made.stdout.strip()).rmdir()

    assert [f"temporary file {made.stdout.strip()}"] == left


@pytest.mark.needs_root("to mount")
def test_a_mount_is_found(before: leaks.Snapshot) -> None:
    # In this process's own folder, where test processes beside it do not take it for theirs.
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "of-a-test", folder], check=True)
        left = leaks.left_since(before)
        subprocess.run(["umount", folder], check=True)

    assert 1 == len(left)
    assert "of-a-test" in left[0]


@pytest.fixture(name="cgroup")
def _cgroup() -> Path:
    for line in Path("/proc/self/cgroup").read_text("ascii").splitlines():
        _, controllers, path = line.split(":", 2)
        folder = Path("/sys/fs/cgroup", controllers, path.lstrip("/"))
        if folder.is_dir() and os.access(folder, os.W_OK):
            return folder
    pytest.skip("no cgroup here in which this user may make one")


def test_a_cgroup_of_ours_is_found(before: leaks.Snapshot, cgroup: Path) -> None:
    made = cgroup / f"creche-{os.getpid()}-test"
    made.mkdir()
    left = leaks.left_since(before)
    made.rmdir()

    assert [f"cgroup {made}"] == left


def test_a_cgroup_of_another_live_server_is_its_own_business(before: leaks.Snapshot, cgroup: Path) -> None:
    shared = cgroup.parent if cgroup.name == f"tests-of-creche-{os.getpid()}" else cgroup
    made = shared / f"creche-1-test-{os.getpid()}"  # process 1 lives, and is no child of ours
    made.mkdir()
    left = leaks.left_since(before)
    made.rmdir()

    assert [] == left


def test_looking_is_cheap() -> None:
    took: list[float] = []
    for _ in range(20):
        started = time.process_time()
        leaks.take()
        took.append(time.process_time() - started)

    # Two looks a test, and 3 ms for both at most; the bound here is slack, for slow machines. The cheapest
    # look counts: whoever shares the core with others has its caches to fill, too.
    assert min(took) < 0.01


def test_a_test_that_leaks_fails(tmp_path: Path) -> None:
    leaky = tmp_path / "test_leaky.py"
    code = (
        "import os\nfrom tests import conftest\n"
        f"conftest._PATIENCE_SECONDS = {NO_PATIENCE}\n\n"
        "def test_leaky():\n    os.open('/dev/zero', os.O_RDONLY)\n"
    )
    leaky.write_text(code, "utf-8")
    options = ["-p", "tests.conftest", "-c", "/dev/null", "--rootdir", str(tmp_path)]
    command = [sys.executable, "-m", "pytest", *options, str(leaky)]

    environ = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}  # CI's reruns

    run = subprocess.run(command, check=False, capture_output=True, text=True, env=environ)

    assert 1 == run.returncode
    assert "left behind:\n  descriptor of /dev/zero" in run.stdout
    assert "1 passed, 1 error" in run.stdout
