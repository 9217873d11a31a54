"""Which user and group ids sessions have on this host, where each has its own.

Root takes them from far above those of users and containers. An ordinary user has them where the machine's
administrator has given it a range (`sandbox.subordinate`). The number of a session's user in its cage is the
same in both cases: from 1 on, for 0 is whoever the zygote is.
"""

from __future__ import annotations

import attrs

IDS = 65_536
OUTSIDE_IDS = 0x70000000
"""As root, cage ids 0 to 65,535 are these ids outside: above the ranges that distributions give to users and
containers."""


@attrs.frozen
class SessionUser:
    """A session's user: its number in the cage, and its user and group id outside."""

    number: int
    outside: int


@attrs.frozen
class Ids:
    """Ids that follow one another, user and group ids alike.

    Attributes:
        first: the id outside of the user with the number 1.
        count: how many there are.
        mappers: paths of newuidmap and newgidmap, where only these may map them into a cage.
    """

    first: int
    count: int
    mappers: tuple[str, str] | None = None

    def user(self, number: int) -> SessionUser:
        """Return the user with this number, 1 to `count`."""
        return SessionUser(number, self.first + number - 1)


ROOTS = Ids(OUTSIDE_IDS + 1, IDS - 1)
