"""From NeMo Gym's configuration to settings."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from server.gym.native import read, settings_of
from server.settings import Settings, SettingsError

ENTRY: dict[str, Any] = {
    "entrypoint": "app.py",
    "domain": "agent",
    "host": "127.0.0.1",
    "port": 18765,
    "environment": "code_gen",
}


def settings(judge: Any = None, **entry: Any) -> Settings:
    return settings_of(json.dumps({"server": {**ENTRY, **entry}, "judge": judge}).encode())


def test_the_port_is_nemo_gyms_and_the_settings_are_ours() -> None:
    made = settings(settings={"max_sessions": 7, "limits": {"call_seconds": 3}})
    assert ("127.0.0.1:18765", "code_gen", 7) == (made.bind, made.environment, made.max_sessions)
    assert {"call_seconds": 3.0} == made.limits
    assert "[::1]:18765" == settings(host="::1").bind


def test_a_judge_that_nemo_gym_runs_is_asked_there_and_without_a_key() -> None:
    judge = {"host": "127.0.0.1", "port": 4321, "openai_api_key": "sk", "openai_model": "wise"}
    made = settings(judge)
    assert ("http://127.0.0.1:4321", "wise", "responses") == (
        made.judge_url,
        made.judge_model,
        made.judge_api,
    )
    assert made.judge_key is None


def test_a_judge_elsewhere_is_asked_with_its_key() -> None:
    judge = {"openai_base_url": "https://example.org/v1", "openai_api_key": "sk-1", "openai_model": "wise"}
    made = settings(judge)
    assert ("https://example.org/v1", "wise", "sk-1") == (made.judge_url, made.judge_model, made.judge_key)
    assert "sk-1" not in repr(made)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{", "no JSON"),
        (b"{}", "configuration.server: Field required"),
        (json.dumps({"server": {**ENTRY, "port": "80"}}).encode(), "configuration.server.port"),
        (json.dumps({"server": {**ENTRY, "settings": {"nonsense": 1}}}).encode(), "no setting 'nonsense'"),
        (
            json.dumps({"server": {**ENTRY, "settings": {"limits": {"x": 1}}}}).encode(),
            "configuration: there is no setting 'limits.x'",
        ),
        (json.dumps({"server": {**ENTRY, "settings": {"limits": 7}}}).encode(), "limits"),
        (json.dumps({"server": ENTRY, "judge": {"host": "x"}}).encode(), "neither a port nor"),
    ],
)
def test_what_does_not_fit_is_named(text: bytes, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_of(text)
    assert words in str(caught.value)


def test_the_configuration_is_read_once_and_its_descriptor_closed() -> None:
    memory = os.memfd_create("configuration")
    os.write(memory, b"{}")
    os.lseek(memory, 0, os.SEEK_SET)
    assert b"{}" == read(memory)
    with pytest.raises(SettingsError, match="cannot be read"):
        read(memory)
