"""The tiers: by name what a session is confined by, and what this machine must have for it.

A tier is chosen by the operator and never changed by us: where it cannot be had nothing starts, and the error
names the lesser ones only as what they are.

==========  ==========================================================================================
full        every namespace, a read-only root, no capabilities, no new privileges, seccomp, bounds, and
            Landlock where the kernel has it
landlock    no namespaces: Landlock and seccomp around a plain process tree. Less is hidden, less is
            bounded, and sockets do not exist at all
none        neither: processes that are looked after, and nothing that hostile code could not undo
==========  ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from sandbox.errors import Unsupported
from sandbox.host import Host
from sandbox.linux import landlock

Tier = Literal["full", "landlock", "none"]

_OLDEST_KERNEL = (5, 12)


@attrs.frozen
class Means:
    """What a tier is made of.

    Attributes:
        namespaces: each session has its own of every kind, and with them a root and a user id of its own.
        seccomp: system calls are filtered.
        oldest_landlock: the Landlock ABI that the tier cannot do without; 0 where it takes what there is.
        landlock: whether Landlock is used at all.
    """

    namespaces: bool
    seccomp: bool
    landlock: bool
    oldest_landlock: int = 0


MEANS: Mapping[Tier, Means] = {
    "full": Means(namespaces=True, seccomp=True, landlock=True),
    # Without a PID namespace only the scope of signals, which came with ABI 6, keeps a session from init.
    "landlock": Means(namespaces=False, seccomp=True, landlock=True, oldest_landlock=landlock.ABI_SCOPES),
    "none": Means(namespaces=False, seccomp=False, landlock=False),
}


def demand(tier: Tier, host: Host) -> None:
    """See whether the machine can give the tier, as far as that can be told without trying.

    Raises:
        Unsupported: it cannot; the message says what is missing, and how to get it.
    """
    if host.kernel < _OLDEST_KERNEL:
        version = ".".join(map(str, host.kernel))
        msg = f"Linux {version} is too old for the tier {tier!r}: it needs 5.12 or later; upgrade the kernel"
        raise Unsupported(msg)
    oldest = MEANS[tier].oldest_landlock
    if host.landlock < oldest:
        has = f"its Landlock is ABI {host.landlock}" if host.landlock else "it has no Landlock"
        msg = (
            f"the tier {tier!r} needs Landlock ABI {oldest}, and of this kernel {has}: "
            "it takes Linux 6.12 or later with 'landlock' in the lsm= boot parameter"
        )
        raise Unsupported(msg)
