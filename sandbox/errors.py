"""What can go wrong with a sandbox, sorted by whose fault it is.

    SandboxError
    ├── WouldNotStart      the isolation that was asked for could not be had; nothing is left behind
    │   ├── Unsupported    this machine or configuration cannot give it: says what is missing and the remedy
    │   ├── PostureMismatch  what is in force, seen from outside, is not what the tier promises
    │   └── Exhausted      the machine has run out of something (descriptors, processes, memory, disk)
    ├── Starved            the machine has run out of something that a living or ended sandbox needs
    ├── Gone               the sandbox has ended; `ending` says how; no further call can succeed
    └── Busy               a call is already in flight on that lane (a bug of the caller)

What the *guest* does wrong is no exception: it is an `Outcome` in an `Observation`, because the reward of
a rollout decides on it. Only what the outside supervisor itself sees may become one of the errors above.
"""

from __future__ import annotations


class SandboxError(Exception):
    """Base of all that `sandbox` raises on purpose."""


class WouldNotStart(SandboxError):
    """The sandbox could not be started as asked. Nothing of it is left; the launcher stays usable."""


class Unsupported(WouldNotStart):
    """A facility that the tier demands is missing here. The message names the cause and the remedy."""


class PostureMismatch(WouldNotStart):
    """The session's isolation, measured from outside, differs from what was promised. It was killed."""


class Exhausted(WouldNotStart):
    """The host ran out of a resource while starting a session. Trying again later may succeed."""


class Starved(SandboxError):
    """The host ran out of a resource that a sandbox, once started, needed. Trying again later may succeed.

    The sandbox is as it was. No `WouldNotStart`, for that says that nothing is left.
    """


class Gone(SandboxError):
    """The sandbox has ended.

    Attributes:
        ending: how it ended, an `Ending` value's name such as ``"closed"`` or ``"cage_lost"``.
    """

    def __init__(self, ending: str) -> None:
        """Remember the way it ended."""
        super().__init__(f"the sandbox has ended: {ending}")
        self.ending = ending


class Busy(SandboxError):
    """Two calls at once on one lane; the second was refused, the first goes on."""
