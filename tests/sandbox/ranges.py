"""Whether sessions can have user ids of their own here, for tests that need to know it beforehand."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox import subordinate
from sandbox.obstacles import Obstacle

if TYPE_CHECKING:
    from collections.abc import Iterator


def _why_no_range() -> str:
    if os.geteuid() == 0:
        return "root needs nobody to grant it ids"
    found = subordinate.find()
    return found.cause if isinstance(found, Obstacle) else ""


WHY_NO_RANGE = _why_no_range()
"""Why this user has no range of ids for its sessions; empty where it has one."""

SHARED = bool(WHY_NO_RANGE) and os.geteuid() != 0
"""Whether sessions all have the server's id."""

with_a_range = pytest.mark.skipif(bool(WHY_NO_RANGE), reason=f"no range of ids: {WHY_NO_RANGE}")


@contextmanager
def no_range() -> Iterator[None]:
    """Have launchers that are opened meanwhile do as on a machine that grants this user no ids."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(subordinate, "_USERS", Path("/dev/null"))
        yield
