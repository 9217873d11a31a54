"""The server's configuration: read once, from four sources, into one frozen object.

Later sources win: the defaults below, a TOML file, ``CRECHE_*`` environment variables, ``--set KEY=VALUE``.
Keys are the attribute names; those of `Limits` are nested: ``limits.call_seconds`` on the command line, a
``[limits]`` table in the file, ``CRECHE_LIMITS_CALL_SECONDS`` in the environment. A wrong key or value is a
`SettingsError` that names the key, its source and the remedy; nothing is ever ignored.
"""

from __future__ import annotations

import os
import re
import secrets
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import attrs

from sandbox.limits import MIB, Limits
from tools.shapes import is_dict

Tier = Literal["full", "landlock", "none"]
LogFormat = Literal["auto", "json", "text"]
Value = str | int | float | bool

_PREFIX = "CRECHE_"
_NOT_SETTINGS = frozenset({"CRECHE_CONFIG", "CRECHE_PYTHON"})
"""Variables with our prefix that are read by somebody else: the file's path, and the scripts' interpreter."""

_INHERITED_SECRETS = ("NEMO_GYM_CONFIG_DICT", "CRECHE_SECRET")
"""What must not stay in our environment: NeMo Gym puts its whole configuration there, API keys included."""


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


def _long_enough(_: object, __: attrs.Attribute[str], value: str) -> None:
    minimum = 16
    if len(value) < minimum:
        msg = f"must have at least {minimum} characters, or cookies could be forged"
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
        max_sessions: sessions with a sandbox at once; further seeds wait in line.
        standby: sessions kept running ahead of being asked for, so that a seed is answered at once.
        max_waiting: seeds in line at once; one more is answered with a session that is masked.
        queue_seconds: how long a seed may wait in line.
        max_verifications: verdicts computed at once; further ones wait in line. Too many at once make correct
            programs miss their deadlines.
        verify_seconds: how long an environment's `verify` may take.
        limits: bounds of each session that the operator has set, in place of those in the environment's
            profile; a row may only lower what results.
        python: interpreter inside the sessions, if not the one that the environment's profile names.
        site_packages: folder of third-party packages inside, if not the profile's.
        secret: signs the session cookies. Random at each start unless given; give it where sessions' cookies
            shall be recognised after a restart.
        cookie_name: the session cookie's name, if not the one derived from the secret.
        body_bytes: the longest request body.
        record_seconds: how long an ended session is remembered for replies that were lost.
        max_records: how many ended sessions are remembered.
        kept_state_bytes: final states kept in memory for sessions that ended before they were verified, all
        together.
        grace_seconds: from SIGTERM until calls and verdicts in progress are cut off.
        keep_alive_seconds: how long an idle connection is kept; NeMo Gym's client expects at least 15.
        log_format: ``"json"`` lines, ``"text"`` to read, or ``"auto"``: text on a terminal.
        log_level: ``"debug"``, ``"info"``, ``"warning"`` or ``"error"``.
    """

    environment: str = "workbench"
    bind: str = "127.0.0.1:8000"
    tier: Tier = "full"
    unsafe_no_isolation: bool = False
    max_sessions: int = attrs.field(default=512, validator=_positive)
    standby: int = attrs.field(default=4, validator=_not_negative)
    max_waiting: int = attrs.field(default=16_384, validator=_positive)
    queue_seconds: float = attrs.field(default=3600.0, validator=_positive)
    max_verifications: int = attrs.field(factory=_verifications, validator=_positive)
    verify_seconds: float = attrs.field(default=900.0, validator=_positive)
    limits: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    python: str | None = None
    site_packages: str | None = None
    secret: str = attrs.field(factory=lambda: secrets.token_hex(32), validator=_long_enough, repr=False)
    cookie_name: str | None = attrs.field(default=None, validator=_token)
    body_bytes: int = attrs.field(default=64 * MIB, validator=_positive)
    record_seconds: float = attrs.field(default=900.0, validator=_positive)
    max_records: int = attrs.field(default=4096, validator=_positive)
    kept_state_bytes: int = attrs.field(default=512 * MIB, validator=_positive)
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
        host = self.bind.rpartition(":")[0]
        if self.unsafe_no_isolation and host not in {"127.0.0.1", "localhost", "[::1]"}:
            msg = f'without isolation only a loopback address may be listened on, and bind is "{self.bind}"'
            raise SettingsError(msg)


def load(
    config: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    assignments: Iterable[str] = (),
    overrides: Mapping[str, Value | None] | None = None,
) -> Settings:
    """Read all sources and return the settings.

    Args:
        config: a TOML file; by default the one that ``CRECHE_CONFIG`` names, if it does.
        environ: the environment variables; by default the process's own.
        assignments: ``KEY=VALUE`` pairs, as ``--set`` takes them.
        overrides: options of their own on the command line; they win over everything, and None means absent.

    Raises:
        SettingsError: a file, key or value is wrong.
    """
    environ = os.environ if environ is None else environ
    path = config if config is not None else environ.get("CRECHE_CONFIG") or None
    gathered = _Gathered()
    if path is not None:
        gathered.add_table(_read_file(Path(path)), str(path))
    for variable, text in sorted(environ.items()):
        if variable.startswith(_PREFIX) and variable not in _NOT_SETTINGS:
            gathered.add_text(_key_of(variable), text, variable)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            msg = f"--set {assignment}: write it as --set KEY=VALUE"
            raise SettingsError(msg)
        gathered.add_text(key.strip(), text.strip(), f"--set {key.strip()}")
    for key, value in (overrides or {}).items():
        if value is not None:
            gathered.add(key, value, f"--{key.replace('_', '-')}")
    return gathered.settings()


def drop_secrets() -> None:
    """Take what no child process may inherit out of this process's environment."""
    for variable in _INHERITED_SECRETS:
        os.environ.pop(variable, None)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"the configuration file {path} cannot be read: {error.strerror}"
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"the configuration file {path} is not TOML: {error}"
    raise SettingsError(msg)


def _key_of(variable: str) -> str:
    name = variable.removeprefix(_PREFIX).lower()
    return "limits." + name.removeprefix("limits_") if name.startswith("limits_") else name


class _Gathered:
    """Values by key, each checked against its own field when it is added, with its source at hand."""

    def __init__(self) -> None:
        self._top: dict[str, Any] = {}
        self._limits: dict[str, Any] = {}

    def add_table(self, table: Mapping[str, Any], source: str) -> None:
        for key, value in table.items():
            if key == "limits" and is_dict(value):
                for name, limit in value.items():
                    self.add(f"limits.{name}", limit, source)
            else:
                self.add(key, value, source)

    def add_text(self, key: str, text: str, source: str) -> None:
        self.add(key, _from_text(text, _field(key, source)), source)

    def add(self, key: str, value: Any, source: str) -> None:
        field = _field(key, source)
        try:
            checked = _checked(value, field)
            if field.validator is not None:
                field.validator(None, field, checked)
        except ValueError as error:
            msg = f"{source}: {key} {str(error).removeprefix(field.name).strip()}"
            raise SettingsError(msg) from None
        target = self._limits if key.startswith("limits.") else self._top
        target[field.name] = checked

    def settings(self) -> Settings:
        return Settings(**self._top, limits=self._limits)


def _field(key: str, source: str) -> attrs.Attribute[Any]:
    """Return the field that `key` names, or say which there are."""
    top = {field.name: field for field in attrs.fields(Settings) if field.name != "limits"}
    nested = {f"limits.{field.name}": field for field in attrs.fields(Limits)}
    known = top | nested
    if key not in known:
        msg = f"{source}: there is no setting {key!r}; the settings are {', '.join(known)}"
        raise SettingsError(msg)
    return known[key]


_TYPES: Mapping[str, tuple[type, str]] = {
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "bool": (bool, "true or false"),
    "str": (str, "a text"),
}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "tier": get_args(Tier),
    "log_format": get_args(LogFormat),
    "log_level": ("debug", "info", "warning", "error"),
}


def _kind(field: attrs.Attribute[Any]) -> tuple[type, str]:
    # The annotations are strings here; what stands before a `|` decides, and a choice is a text.
    return _TYPES.get(str(field.type).partition(" ")[0], _TYPES["str"])


def _from_text(text: str, field: attrs.Attribute[Any]) -> Value:
    """Read a value as a variable or an option gives it; leave what does not fit to `_checked`."""
    klass, _ = _kind(field)
    if klass is bool:
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(
            text.lower(), text
        )
    if klass in {int, float}:
        try:
            return int(text) if klass is int else float(text)
        except ValueError:
            return text
    return text


def _checked(value: Any, field: attrs.Attribute[Any]) -> Any:
    klass, words = _kind(field)
    if klass is float and type(value) is int:
        value = float(value)
    if type(value) is not klass:
        msg = f"must be {words}, not {value!r}"
        raise ValueError(msg)
    choices = _CHOICES.get(field.name)
    if choices is not None and value not in choices:
        msg = f"must be one of {', '.join(choices)}, not {value!r}"
        raise ValueError(msg)
    return value
