"""Whether sessions can have user ids of their own here, for tests that need to know it beforehand."""

from __future__ import annotations

import os

import pytest

from sandbox import subordinate
from sandbox.obstacles import Obstacle


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
