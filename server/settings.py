"""The server's configuration: one frozen object. `server.configuration` reads it from its sources."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from sandbox.limits import MIB, Limits
from sandbox.tiers import Tier

LogFormat = Literal["auto", "json", "text"]
Api = Literal["responses", "chat"]
Value = str | int | float | bool


class SettingsError(Exception):
    """The configuration cannot be used. The message is one sentence for the person who wrote it."""


def _positive(_: object, __: attrs.Attribute[Any], value: float) -> None:
    if not value > 0:
        msg = f"must be above 0, not {value!r}"
        raise ValueError(msg)


def _not_negative(_: object, __: attrs.Attribute[Any], value: float) -> None:
    if value < 0:
        msg = f"must be 0 or above, not {value!r}"
        raise ValueError(msg)


def _long_enough(_: object, __: attrs.Attribute[Any], value: str | None) -> None:
    minimum = 16
    if value is not None and len(value) < minimum:
        msg = f"must have at least {minimum} characters, or it could be guessed"
        raise ValueError(msg)


def _token(_: object, __: attrs.Attribute[str | None], value: str | None) -> None:
    if value is not None and not re.fullmatch(r"[A-Za-z0-9_-]+", value):
        msg = f"may consist of letters, digits, _ and - only, and is {value!r}"
        raise ValueError(msg)


def _verifications() -> int:
    return max(4, 2 * len(os.sched_getaffinity(0)))


@attrs.frozen(kw_only=True)
class Settings:
    """All that an operator may choose.

    Attributes:
        environment: a shipped environment's name, ``package.module:Class`` or ``path/to/file.py:Class``.
        bind: ``HOST:PORT`` to listen on; port 0 picks a free one. Used by `creche serve` only.
        tier: the isolation demanded; less is never accepted. ``"none"`` needs `unsafe_no_isolation`.
        unsafe_no_isolation: agree to run model code without isolation. Only on a loopback address.
        shared_locks: let sessions lock files that others have too, where they cannot have inodes of their own
            (`creche doctor` says so). Without it they get no locks there, and SQLite does not work.
        max_sessions: sessions with a sandbox at once; further seeds wait in line.
        standby: sessions kept running ahead of being asked for, so that a seed is answered at once.
        max_waiting: seeds and sandboxes in line at once. One more seed is answered with a session that is
            masked, one more sandbox is refused.
        queue_seconds: how long a seed may wait in line.
        max_verifications: verdicts computed at once; further ones wait in line. Too many at once make correct
            programs miss their deadlines.
        verify_seconds: how long an environment's `verify` may take.
        judge_url: endpoint of the language model that verifiers may ask; needs `judge_model`.
        judge_model: that model's name there.
        judge_api: ``"responses"`` for ``/v1/responses``, ``"chat"`` for ``/v1/chat/completions``.
        judge_key: its API key.
        judge_seconds: how long one call of it may take; failed ones are tried again.
        judge_calls: calls of it at once.
        limits: bounds of each session that the operator has set, in place of those in the environment's
            profile; a row may only lower what results.
        python: interpreter inside the sessions, if not the one that the environment's profile names.
        site_packages: folder of third-party packages inside, if not the profile's.
        secret: signs the session cookies. Random at each start unless given; give it where sessions' cookies
            shall be recognised after a restart.
        cookie_name: the session cookie's name, if not the one derived from the secret.
        body_bytes: the longest request body.
        body_seconds: how long a request's body may take to come.
        record_seconds: how long an ended session is remembered for replies that were lost.
        max_records: how many ended sessions are remembered.
        kept_state_bytes: final states kept in memory for sessions that ended before they were verified, all
            together.
        state_bytes: final states held in memory until there is a verdict on them, all together. Who dies
            when there is no room is captured when there is.
        reverify_folder: where the captured states of verified sessions are kept, so that their rollouts can
            be verified again; None is in memory, as long as the server runs. A folder needs a `secret`.
        reverify_bytes: how large those states may be, all together; 0 keeps none.
        reverify_seconds: how old they may get.
        receipt_key: file with an Ed25519 private key (PEM) that signs the receipts; None signs them with a
            key made of the secret.
        sandbox_token: lets whoever brings it have sandboxes of their own, at `/sandboxes`. Off without it.
        mcp: offer the tools at `/mcp` too, to clients of the Model Context Protocol. Needs the extra `mcp`.
        grace_seconds: from SIGTERM until calls and verdicts in progress are cut off.
        keep_alive_seconds: how long an idle connection is kept; NeMo Gym's client expects at least 15.
        log_format: ``"json"`` lines, ``"text"`` to read, or ``"auto"``: text on a terminal.
        log_level: ``"debug"``, ``"info"``, ``"warning"`` or ``"error"``.
    """

    environment: str = "workbench"
    bind: str = "127.0.0.1:8000"
    tier: Tier = "full"
    unsafe_no_isolation: bool = False
    shared_locks: bool = False
    max_sessions: int = attrs.field(default=512, validator=_positive)
    standby: int = attrs.field(default=4, validator=_not_negative)
    max_waiting: int = attrs.field(default=16_384, validator=_positive)
    queue_seconds: float = attrs.field(default=3600.0, validator=_positive)
    max_verifications: int = attrs.field(factory=_verifications, validator=_positive)
    verify_seconds: float = attrs.field(default=900.0, validator=_positive)
    judge_url: str | None = None
    judge_model: str | None = None
    judge_api: Api = "responses"
    judge_key: str | None = attrs.field(default=None, repr=False)
    judge_seconds: float = attrs.field(default=120.0, validator=_positive)
    judge_calls: int = attrs.field(default=64, validator=_positive)
    limits: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    python: str | None = None
    site_packages: str | None = None
    secret: str = attrs.field(factory=lambda: secrets.token_hex(32), validator=_long_enough, repr=False)
    cookie_name: str | None = attrs.field(default=None, validator=_token)
    body_bytes: int = attrs.field(default=64 * MIB, validator=_positive)
    body_seconds: float = attrs.field(default=600.0, validator=_positive)
    record_seconds: float = attrs.field(default=900.0, validator=_positive)
    max_records: int = attrs.field(default=4096, validator=_positive)
    kept_state_bytes: int = attrs.field(default=512 * MIB, validator=_positive)
    state_bytes: int = attrs.field(default=2048 * MIB, validator=_positive)
    reverify_folder: str | None = None
    reverify_bytes: int = attrs.field(default=64 * MIB, validator=_not_negative)
    reverify_seconds: float = attrs.field(default=86_400.0, validator=_positive)
    receipt_key: str | None = None
    sandbox_token: str | None = attrs.field(default=None, validator=_long_enough, repr=False)
    mcp: bool = False
    grace_seconds: float = attrs.field(default=10.0, validator=_positive)
    keep_alive_seconds: float = attrs.field(default=75.0, validator=_positive)
    log_format: LogFormat = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def limits_over(self, profile_limits: Limits) -> Limits:
        """Return a session's bounds: the profile's, but for those that the operator has set."""
        return attrs.evolve(profile_limits, **self.limits)

    def __attrs_post_init__(self) -> None:
        """Check what concerns several keys at once."""
        if (self.tier == "none") != self.unsafe_no_isolation:
            msg = 'tier = "none" and unsafe_no_isolation = true go together: give both or neither'
            raise SettingsError(msg)
        if (self.judge_url is None) != (self.judge_model is None):
            msg = "judge_url and judge_model go together: give both or neither"
            raise SettingsError(msg)
        host = self.bind.rpartition(":")[0]
        if self.unsafe_no_isolation and host not in {"127.0.0.1", "localhost", "[::1]"}:
            msg = f'without isolation only a loopback address may be listened on, and bind is "{self.bind}"'
            raise SettingsError(msg)
