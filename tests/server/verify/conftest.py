"""Real sandboxes of the verifier's profile, as a `Rollout` opens them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import attrs
import pytest

from sandbox.box import Box
from sandbox.launcher import Launcher, open_launcher
from sandbox.limits import Limits
from server.verify import VERIFIER


@attrs.frozen
class Opener:
    """Opens what `Rollout.open_sandbox` opens, without a rollout."""

    launcher: Launcher

    def open_sandbox(self, limits: Limits | None = None) -> AbstractAsyncContextManager[Box]:
        return self.launcher.open_sandbox(VERIFIER, limits)


@pytest.fixture(name="opener")
async def _opener() -> AsyncIterator[Opener]:
    async with open_launcher() as launcher:
        yield Opener(launcher)
