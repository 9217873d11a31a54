"""What can be asked of sandboxes, and what is answered: the shapes of the bodies."""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen
class Create:
    """A new sandbox.

    Attributes:
        ttl_seconds: how long it may live; at most, and by default, the server's `limits.session_seconds`.
        wait_seconds: how long it may wait for a place; by default the server's `queue_seconds`.
        workdir: where commands start, and what paths are relative to; made if it is not there.
        env: what commands have in their environment.
        limits: bounds by their names in `Limits`, lower than the server's.
    """

    ttl_seconds: float | None = None
    wait_seconds: float | None = None
    workdir: str = "/workspace"
    env: Mapping[str, str] = {}
    limits: Mapping[str, float] = {}


@attrs.frozen
class Execute:
    """A command.

    Attributes:
        command: for ``bash -c``.
        cwd: where it starts, if not in the sandbox's `workdir`.
        env: in addition to the sandbox's.
        timeout_seconds: after which it is killed; without, it may run as long as the sandbox lives.
    """

    command: str
    cwd: str | None = None
    env: Mapping[str, str] = {}
    timeout_seconds: float | None = None


@attrs.frozen
class Run:
    """A cell for the interpreter that stays open.

    Attributes:
        code: Python.
        timeout_seconds: after which it is interrupted; by default the server's `limits.call_seconds`.
    """

    code: str
    timeout_seconds: float | None = None


@attrs.frozen
class Made:
    """A sandbox that can be used."""

    id: str
    workdir: str
    ttl_seconds: float


@attrs.frozen
class Status:
    """How a sandbox is: ``running`` or ``stopped``, and then by what."""

    status: str
    ended_by: str | None = None


@attrs.frozen
class Executed:
    """What a command came to.

    ``return_code`` is 125 where the command did not come to have one; ``error_type`` then says whether it was
    its deadline (``timeout``) or the sandbox.
    """

    stdout: str
    stderr: str
    return_code: int
    error_type: str | None
    outcome: str
    error: str | None = None
    truncated: tuple[str, ...] = ()


@attrs.frozen
class Written:
    """How long the file is now."""

    bytes: int


@attrs.frozen
class Deleted:
    """Nothing is left of it."""
