"""What a sandbox's lane says of a program that ended: data of a hostile place, read as such."""

from __future__ import annotations

from sandbox.observation import Observation
from tools.shapes import is_dict


def exit_code_of(seen: Observation) -> int:
    """Return the exit code in the lane's answer; what makes no sense is a failure, for it may be hostile."""
    code = seen.value.get("exit_code") if is_dict(seen.value) else None
    return code if isinstance(code, int) and not isinstance(code, bool) else 1


def cpu_seconds_of(seen: Observation) -> float | None:
    """Return the processor time that the lane says the program took; None if it says nothing sensible.

    For people to read: no verdict depends on it.
    """
    seconds = seen.value.get("cpu_seconds") if is_dict(seen.value) else None
    return seconds if isinstance(seconds, float) and seconds >= 0 else None
