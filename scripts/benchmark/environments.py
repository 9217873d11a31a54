"""What our own server serves while it is measured: `python`, with nothing and with numpy preloaded."""

from __future__ import annotations

from typing import Any, ClassVar

from sandbox.profile import Profile
from server.environment import Environment, Rollout, Verdict


class Plain(Environment[dict[str, Any]]):
    """Sessions with nothing preloaded."""

    tools = ("python",)

    async def verify(self, rollout: Rollout[dict[str, Any]]) -> Verdict:
        """Judge nothing: sessions are closed, not verified."""
        del rollout
        return Verdict(0.0)


class Numpy(Plain):
    """Sessions that find numpy imported."""

    profile: ClassVar[Profile] = Profile(name="numpy", packages=("numpy",), preload=("numpy",))
