"""What holds for every test: when it is over, nothing that it started is left. And what this machine has.

`tests.leaks` says how the former is seen.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import HealthCheck, settings

from sandbox.cgroups import open_control_groups
from tests import leaks

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE_SECONDS = (
    10.0  # a killed PID namespace or an emptied cgroup takes milliseconds, on a busy machine seconds
)


# As the server has it. By default structlog shows all variables of each frame, which takes it seconds.
structlog.configure(
    processors=[
        structlog.stdlib.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


# Hypothesis measures each example by the wall clock, and fails a test in whose way another process was. How
# long a test may take is said by `faulthandler_timeout`.
settings.register_profile("creche", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("creche")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs root where there is none."""
    if os.geteuid() == 0:
        return
    for item in items:
        marker = item.get_closest_marker("needs_root")
        if marker is not None:
            item.add_marker(pytest.mark.skip(reason=" ".join(["needs root", *marker.args])))


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_at_the_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[str]]:
    """Look once more after the last test, for what fixtures of a wider scope than one test have left.

    Yields a set to which the tests' own checks add what they have reported, so that it is not reported again.

    The temporary directory of this run is its own, for us and for what we start, so that another run on the
    same machine does not meddle. It is as open as /tmp, because a sandbox's processes run as other users.
    """
    leaks.adopt_orphans()
    tmp_path_factory.getbasetemp()  # stays where pytest keeps it for a look after a failure
    usual = os.environ.get("TMPDIR")
    own = tempfile.mkdtemp(prefix=leaks.FOLDER)
    Path(own).chmod(0o1777)
    tempfile.tempdir = os.environ["TMPDIR"] = own
    reported: set[str] = set()
    with leaks.own_cgroups():
        before = leaks.take()
        yield reported
        left = leaks.left_since(before)
        if set(left) - reported:
            left = leaks.wait_for_nothing(before, seconds=_PATIENCE_SECONDS)
        leaks.end_children(before)
    tempfile.tempdir = None
    if usual is None:
        del os.environ["TMPDIR"]
    else:
        os.environ["TMPDIR"] = usual
    shutil.rmtree(own)
    _fail_if_any([line for line in left if line not in reported], "the tests have left behind")


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest, _nothing_left_at_the_end: set[str]) -> Iterator[None]:
    """Fail a test that leaves something behind, as an error of its teardown."""
    leaks.adopt_orphans()  # once more: what judges programs ends it, and some tests call that in this process
    before = leaks.take()
    yield
    kills_parents = request.node.get_closest_marker("orphans") is not None
    left = leaks.wait_for_nothing(before, seconds=_PATIENCE_SECONDS, reap=kills_parents)
    if left:
        leaks.end_children(before)
        _nothing_left_at_the_end.update(left)
    _fail_if_any(left, "left behind")


def _fail_if_any(left: list[str], complaint: str) -> None:
    if left:
        pytest.fail(f"{complaint}:\n" + "\n".join(f"  {line}" for line in left), pytrace=False)


@functools.cache
def _why_no_control_groups() -> str:
    groups = open_control_groups()
    groups.close()
    return "" if groups.version else groups.why_not


@pytest.fixture(name="control_groups")
def _control_groups() -> None:
    """Skip where there are none. Not async: a skip inside Trio loses its reason."""
    if _why_no_control_groups():
        pytest.skip(f"no control groups here: {_why_no_control_groups()}")


@pytest.fixture(name="bound_by", params=["control group", "watchdog"])
def _bound_by(request: pytest.FixtureRequest) -> str:
    if request.param == "control group":
        request.getfixturevalue("control_groups")
    return str(request.param)
