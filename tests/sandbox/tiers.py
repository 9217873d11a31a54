"""Launchers of the tiers without namespaces, and who lives below one."""

from __future__ import annotations

import os
from pathlib import Path

import attrs

from sandbox.errors import Unsupported
from sandbox.interpreter import find_interpreter
from sandbox.plain_plan import require_reachable
from sandbox.profile import Profile


def reachable(profile: Profile) -> Profile:
    """Return the profile with an interpreter that sessions' own users can get at, if root needs one."""
    if os.geteuid() != 0:
        return profile
    try:
        require_reachable([find_interpreter(None).prefix])
    except Unsupported:
        return attrs.evolve(profile, python="/usr/bin/python3")
    return profile


def stat_of(pid: int) -> list[str]:
    """Return the fields of a process's stat from its state on; none when it is gone."""
    try:
        # The name, in parentheses, may hold anything.
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def is_alive(pid: int) -> bool:
    """Whether a process has neither gone nor only its parent's wait left."""
    fields = stat_of(pid)
    return bool(fields) and fields[0] not in "ZX"


def parent_of(pid: int) -> int:
    """Return the number of a process's parent."""
    return int(stat_of(pid)[1])


def descendants(ancestor: int) -> set[int]:
    """Return all living processes below another."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and is_alive(int(entry.name)) and (fields := stat_of(int(entry.name))):
            parents[int(entry.name)] = int(fields[1])
    found = {ancestor}
    while grown := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= grown
    return found - {ancestor}
