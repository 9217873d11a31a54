"""Launchers and boxes for tests that need real ones. A cage takes 0.1 s, so each test has its own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sandbox.cgroups import ControlGroups
from sandbox.launcher import Launcher, open_launcher
from tests.sandbox.handlers import PROFILE, SMALL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sandbox.box import Box


@pytest.fixture(name="launcher")
async def _launcher() -> AsyncIterator[Launcher]:
    async with open_launcher() as launcher:
        yield launcher


@pytest.fixture(name="box")
async def _box(launcher: Launcher) -> AsyncIterator[Box]:
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        yield box


@contextmanager
def no_control_groups(launcher: Launcher) -> Iterator[None]:
    """Have the launcher do as on a machine that gives it no control groups."""
    real, launcher._control_groups = launcher._control_groups, ControlGroups(0, "the test wants none")
    try:
        yield
    finally:
        launcher._control_groups = real


@pytest.fixture(name="bounded")
async def _bounded(bound_by: str, launcher: Launcher) -> AsyncIterator[Launcher]:
    """Give a launcher that bounds memory and processes by control groups, then one that does without."""
    if bound_by == "watchdog":
        with no_control_groups(launcher):
            yield launcher
        return
    yield launcher
