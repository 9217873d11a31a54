"""Sessions for attackers, a neighbour beside them, and a place to note what was observed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.launcher import Launcher, open_launcher
from tests.attacks.attacker import PROFILE, Attacker, open_session
from tests.sandbox.conftest import no_control_groups

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@pytest.fixture(name="launcher")
async def _launcher(record_property: Callable[[str, object], None]) -> AsyncIterator[Launcher]:
    async with open_launcher() as launcher:
        _note_tier(launcher, record_property)
        yield launcher


def _note_tier(launcher: Launcher, record_property: Callable[[str, object], None]) -> None:
    posture = launcher.posture(PROFILE)
    record_property("tier", f"{posture.tier}, {posture.memory_bound_by}")


@pytest.fixture(name="attacker")
async def _attacker(launcher: Launcher) -> AsyncIterator[Attacker]:
    async with open_session(launcher) as attacker:
        yield attacker


@pytest.fixture(name="neighbour")
async def _neighbour(launcher: Launcher) -> AsyncIterator[Attacker]:
    """Give another session in the same cage, which must notice nothing: it is asked when the test is over."""
    async with open_session(launcher) as neighbour:
        yield neighbour
        assert await neighbour.is_well()


@pytest.fixture(name="bounded")
async def _bounded(
    bound_by: str, launcher: Launcher, record_property: Callable[[str, object], None]
) -> AsyncIterator[Launcher]:
    """Give a launcher that bounds memory and processes by control groups, then one that does without."""
    if bound_by == "watchdog":
        with no_control_groups(launcher):
            _note_tier(launcher, record_property)
            yield launcher
        return
    yield launcher


@pytest.fixture(name="observed")
def _observed(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Give a function that notes, in a few words, what was observed; `scripts/attacks` shows it."""
    return lambda what: record_property("observed", what)
