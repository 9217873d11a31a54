"""What one session may use: every bound of a sandbox, with its unit in its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

KIB = 1024
MIB = 1024 * KIB


def _positive(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        msg = f"{attribute.name} must be a number above 0, not {value!r}"
        raise ValueError(msg)


def _whole(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        msg = f"{attribute.name} must be a whole number above 0, not {value!r}"
        raise ValueError(msg)


def _at_least_five(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    # init, a runner, a shell and its first child must fit, or no tool could ever answer.
    minimum = 5
    if value < minimum:
        msg = f"{attribute.name} must be at least {minimum}, not {value!r}"
        raise ValueError(msg)


@attrs.frozen(kw_only=True)
class Limits:
    """Bounds of one session. All are enforced from outside the session's own code.

    Attributes:
        call_seconds: one tool call, wall clock.
        idle_seconds: the longest pause between two calls before the session is ended.
        session_seconds: the session's whole life, wall clock.
        memory_bytes: all processes and writable files together.
        processes: processes and threads alive at once.
        disk_bytes: all that is writable (/workspace, /tmp and /dev/shm share one tmpfs).
        disk_inodes: files and directories in the same.
        output_bytes: what is kept of each stream of one call (its head and its tail).
        flood_bytes: what one stream of one call may print before the call is stopped as `output_limit`.
        log_bytes: the log of calls, in memory. What calls brought back is left out of it first, the oldest
            before the others, then arguments; a log with no room for one more name ends the calls.
        final_state_bytes: content captured after death, and the paths of its files, in memory.
        final_state_files: files captured after death.
    """

    call_seconds: float = attrs.field(default=30.0, validator=_positive)
    idle_seconds: float = attrs.field(default=600.0, validator=_positive)
    session_seconds: float = attrs.field(default=3600.0, validator=_positive)
    memory_bytes: int = attrs.field(default=512 * MIB, validator=_whole)
    processes: int = attrs.field(default=64, validator=[_whole, _at_least_five])
    disk_bytes: int = attrs.field(default=256 * MIB, validator=_whole)
    disk_inodes: int = attrs.field(default=16_384, validator=_whole)
    output_bytes: int = attrs.field(default=64 * KIB, validator=_whole)
    flood_bytes: int = attrs.field(default=64 * MIB, validator=_whole)
    log_bytes: int = attrs.field(default=16 * MIB, validator=_whole)
    final_state_bytes: int = attrs.field(default=64 * MIB, validator=_whole)
    final_state_files: int = attrs.field(default=4096, validator=_whole)

    def lowered(self, wishes: Mapping[str, Any]) -> Limits:
        """Return these limits with some of them lowered.

        Args:
            wishes: field name to value; a value above the present one is refused, for a dataset row may
                ask for less than the operator allows and never for more.

        Raises:
            ValueError: an unknown field, a value that is no positive number, or one that would raise a limit.
        """
        for name, value in wishes.items():
            if name not in attrs.fields_dict(Limits):
                known = ", ".join(attrs.fields_dict(Limits))
                msg = f"{name}: no such limit; there are {known}"
                raise ValueError(msg)
            most = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or value > most:
                msg = f"{name}: may only be lowered to a number at or below {most}, not {value!r}"
                raise ValueError(msg)
        return attrs.evolve(self, **wishes)
