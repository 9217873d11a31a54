"""What an environment's tools become: handlers of a profile, a console that comes first rehearsed."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from sandbox.launcher import Launcher, open_launcher
from sandbox.profile import Profile
from server.toolbox import REHEARSAL, Toolbox
from tools.registry import ToolError

SEEN_BY_A_FIRST_CELL = """
import os, sys, warnings
print(sorted(os.environ), sorted(os.listdir('/tmp') + os.listdir('.')), sys.path, sorted(globals()))
print(sys.modules['__main__'].__dict__ is globals(), len(warnings.filters))
1 / 0
"""


def test_a_name_used_twice_is_refused() -> None:
    with pytest.raises(ToolError, match="two tools are named 'python'"):
        Toolbox.of(("python", "python"))


def test_only_a_console_that_comes_first_is_rehearsed() -> None:
    assert REHEARSAL.name == Toolbox.of(("python", "bash")).equip(Profile()).rehearsal
    assert Toolbox.of(("bash", "python")).equip(Profile()).rehearsal is None
    assert Toolbox.of(()).equip(Profile()).rehearsal is None


async def first_cell(launcher: Launcher, profile: Profile) -> Any:
    async with launcher.open_sandbox(profile) as box:
        observation = await box.call("python", {"code": SEEN_BY_A_FIRST_CELL})
        assert () == (await box.finish()).calls[1:]
    return observation.outcome, observation.stdout, observation.stderr


async def test_the_first_cell_cannot_tell_a_rehearsed_session_from_a_fresh_one() -> None:
    profile = Toolbox.of(("python",)).equip(Profile())
    async with open_launcher(standby=1) as ready, open_launcher() as fresh:
        await ready.warm(profile)
        with trio.fail_after(20):
            while not ready.ready(profile):  # noqa: ASYNC110 - nobody but a test wants to wait for it
                await trio.sleep(0.005)
        assert await first_cell(fresh, profile) == await first_cell(ready, profile)
