"""The server's configuration: read once, from four sources, into one frozen object.

Later sources win: the defaults below, a TOML file, ``CRECHE_*`` environment variables, ``--set KEY=VALUE``.
Keys are the attribute names; those of `Limits` are nested: ``limits.call_seconds`` on the command line, a
``[limits]`` table in the file, ``CRECHE_LIMITS_CALL_SECONDS`` in the environment. A wrong key or value is a
`SettingsError` that names the key, its source and the remedy; nothing is ever ignored.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import attrs

from sandbox.limits import Limits
from sandbox.tiers import Tier
from server.settings import Api, LogFormat, Settings, SettingsError, Value
from tools.shapes import is_dict

_PREFIX = "CRECHE_"
_NOT_SETTINGS = frozenset({"CRECHE_CONFIG", "CRECHE_PYTHON"})
"""Variables with our prefix that are read by somebody else: the file's path, and the scripts' interpreter."""

_INHERITED_SECRETS = ("NEMO_GYM_CONFIG_DICT", "CRECHE_SECRET", "CRECHE_SANDBOX_TOKEN", "CRECHE_JUDGE_KEY")
"""What must not stay in our environment: NeMo Gym puts its whole configuration there, API keys included."""


def load(
    config: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    assignments: Iterable[str] = (),
    overrides: Mapping[str, Value | None] | None = None,
    source: str | None = None,
) -> Settings:
    """Read all sources and return the settings.

    Args:
        config: a TOML file; by default the one that ``CRECHE_CONFIG`` names, if it does.
        environ: the environment variables; by default the process's own.
        assignments: ``KEY=VALUE`` pairs, as ``--set`` takes them.
        overrides: options of their own on the command line; they win over everything, and None means absent.
        source: where `overrides` are from, if it is not the command line.

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
            gathered.add(key, value, source or f"--{key.replace('_', '-')}")
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
        if "reverify_folder" in self._top and "secret" not in self._top:
            msg = (
                "reverify_folder needs a secret: references to what is kept there are signed with it, "
                "and the random one ends with the server; set CRECHE_SECRET"
            )
            raise SettingsError(msg)
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
    "judge_api": get_args(Api),
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
