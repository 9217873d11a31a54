"""From what ``app.py`` took out of NeMo Gym's configuration to our settings.

    {"server": {"host": …, "port": …, "environment": …, "settings": {…}},
     "judge":  {"host": …, "port": …} or {"openai_base_url": …, "openai_api_key": …, "openai_model": …}}

``judge`` is the model server that the key ``judge_model_server`` of our entry refers to. One that NeMo Gym
has started is asked at its own address and needs no key: it adds that itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from server.configuration import load
from server.errors import InvalidBody
from server.http.shapes import structure
from server.settings import SettingsError
from tools.shapes import is_dict

if TYPE_CHECKING:
    from server.settings import Settings, Value

_MAX_BYTES = 16 * 1024 * 1024


@attrs.frozen(kw_only=True)
class Entry:
    """Our entry in the configuration.

    Attributes:
        host, port: where NeMo Gym expects us.
        environment: what is played.
        settings: ours, by their names; limits may be nested.
    """

    host: str
    port: int
    environment: str
    settings: Mapping[str, Any] = attrs.field(factory=dict[str, Any])


@attrs.frozen(kw_only=True)
class JudgeEntry:
    """A model server's entry: where NeMo Gym runs it, or where the model is."""

    host: str | None = None
    port: int | None = None
    openai_base_url: str | None = None
    openai_api_key: str | None = None
    openai_model: str | None = None
    model: str | None = None

    def settings(self) -> dict[str, Value | None]:
        """Return the settings that lead to it.

        Raises:
            SettingsError: nothing does.
        """
        model = self.openai_model or self.model or "judge"
        if self.port is not None:
            host = _address(self.host or "127.0.0.1", self.port)
            return {"judge_url": f"http://{host}", "judge_model": model, "judge_api": "responses"}
        if self.openai_base_url is None:
            msg = "judge_model_server refers to a model server that has neither a port nor an openai_base_url"
            raise SettingsError(msg)
        return {
            "judge_url": self.openai_base_url,
            "judge_model": model,
            "judge_key": self.openai_api_key,
        }


@attrs.frozen(kw_only=True)
class Native:
    """All that ``app.py`` hands over."""

    server: Entry
    judge: JudgeEntry | None = None


def read(descriptor: int) -> bytes:
    """Return what is in a descriptor that was inherited, and close it.

    Raises:
        SettingsError: there is none.
    """
    try:
        with os.fdopen(descriptor, "rb") as file:
            return file.read(_MAX_BYTES)
    except OSError as error:
        msg = f"--configuration {descriptor} cannot be read: {error.strerror}; it is for app.py to give"
        raise SettingsError(msg) from error


def settings_of(text: bytes) -> Settings:
    """Return the settings that a configuration asks for; what it sets wins over ``CRECHE_*`` variables.

    Raises:
        SettingsError: it is none, or a value is wrong.
    """
    try:
        native = structure(json.loads(text), Native, ("configuration",))
    except ValueError as error:
        msg = f"the configuration is no JSON: {error}"
        raise SettingsError(msg) from error
    except InvalidBody as error:
        msg = f"NeMo Gym's configuration does not fit: {error}"
        raise SettingsError(msg) from error
    entry = native.server
    judge = {} if native.judge is None else native.judge.settings()
    asked = {"environment": entry.environment, "bind": _address(entry.host, entry.port)}
    overrides = {**_flat(entry.settings), **judge, **asked}
    return load(overrides=overrides, source="NeMo Gym's configuration")


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    limits: Any = settings.get("limits")
    if limits is None:
        limits = {}
    if not is_dict(limits):
        msg = f"limits in NeMo Gym's configuration must be a mapping, not {limits!r}"
        raise SettingsError(msg)
    flat = {key: value for key, value in settings.items() if key != "limits"}
    return flat | {f"limits.{key}": value for key, value in limits.items()}


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
