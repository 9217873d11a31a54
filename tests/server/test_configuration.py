"""Settings: four sources in their order, strict in each, and every refusal one sentence with a remedy."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sandbox.limits import Limits
from server.configuration import drop_secrets, load
from server.settings import Settings, SettingsError


def test_without_any_source_the_defaults_hold() -> None:
    settings = load(environ={})
    assert "workbench" == settings.environment
    assert "full" == settings.tier
    assert Limits() == settings.limits_over(Limits())


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "creche.toml"
    file.write_text(
        'bind = "127.0.0.1:1"\nmax_sessions = 1\nbody_bytes = 1\n[limits]\ncall_seconds = 1\nprocesses = 9\n'
    )
    settings = load(
        file,
        {
            "CRECHE_MAX_SESSIONS": "2",
            "CRECHE_BODY_BYTES": "2",
            "CRECHE_LIMITS_CALL_SECONDS": "2.5",
            "HOME": "/",
        },
        ["body_bytes=3", "limits.memory_bytes=4096"],
        {"bind": "127.0.0.1:4", "environment": None},
    )
    assert ("127.0.0.1:4", 2, 3) == (settings.bind, settings.max_sessions, settings.body_bytes)
    assert {"call_seconds": 2.5, "processes": 9, "memory_bytes": 4096} == dict(settings.limits)


def test_the_file_can_be_named_by_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "creche.toml"
    file.write_text('environment = "code_gen"\n')
    assert "code_gen" == load(environ={"CRECHE_CONFIG": str(file)}).environment


def test_only_limits_that_the_operator_set_replace_those_of_the_profile() -> None:
    settings = load(environ={}, assignments=["limits.call_seconds=90"])
    assert Limits(call_seconds=90, processes=7) == settings.limits_over(Limits(call_seconds=5, processes=7))


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("max_session=3", ["--set max_session", "no setting 'max_session'", "max_sessions"]),
        ("max_sessions=many", ["--set max_sessions", "whole number", "many"]),
        ("max_sessions=0", ["max_sessions", "above 0"]),
        ("max_sessions=1.5", ["max_sessions", "whole number"]),
        ("limits.call_seconds=-1", ["limits.call_seconds", "above 0"]),
        ("limits.processes=2", ["limits.processes", "at least 5"]),
        ("limits.calls=2", ["no setting 'limits.calls'", "limits.call_seconds"]),
        ("tier=medium", ["tier", "full", "medium"]),
        ("secret=short", ["secret", "16 characters"]),
        ("sandbox_token=short", ["sandbox_token", "16 characters"]),
        ("cookie_name=a;b", ["cookie_name", "letters"]),
        ("log_level=loud", ["log_level", "debug"]),
        ("bind", ["--set bind", "KEY=VALUE"]),
        ("tier=none", ["tier", "unsafe_no_isolation"]),
    ],
)
def test_a_wrong_assignment_is_one_sentence_with_the_key_and_the_remedy(
    assignment: str, words: list[str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(environ={}, assignments=[assignment])
    sentence = str(caught.value)
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


def test_a_wrong_variable_is_named_as_the_source() -> None:
    with pytest.raises(SettingsError, match="CRECHE_MAX_SESIONS: there is no setting 'max_sesions'"):
        load(environ={"CRECHE_MAX_SESIONS": "3"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_sessions = '3'", "max_sessions must be a whole number, not '3'"),
        ("max_sessions = true", "max_sessions must be a whole number, not True"),
        ("bind = 8000", "bind must be a text, not 8000"),
        ("limits = 3", "no setting 'limits'"),
        ("[limits]\nfoo = 3", "no setting 'limits.foo'"),
        ("= 3", "is not TOML"),
    ],
)
def test_a_wrong_file_is_named_as_the_source(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(file, {})
    assert words in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"missing\.toml cannot be read: No such file"):
        load(tmp_path / "missing.toml", {})


def test_no_isolation_needs_a_loopback_address() -> None:
    both = ["tier=none", "unsafe_no_isolation=true"]
    assert "none" == load(environ={}, assignments=both).tier
    with pytest.raises(SettingsError, match="loopback"):
        load(environ={}, assignments=[*both, "bind=0.0.0.0:8000"])


def test_each_start_has_a_secret_of_its_own_and_it_is_never_shown() -> None:
    first, second = load(environ={}), load(environ={})
    assert first.secret != second.secret
    assert first.secret not in repr(first)


def test_secrets_leave_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEMO_GYM_CONFIG_DICT", "policy_api_key: sk-1")
    monkeypatch.setenv("CRECHE_SECRET", "a secret of at least sixteen characters")
    monkeypatch.setenv("CRECHE_SANDBOX_TOKEN", "another one of sixteen")
    drop_secrets()
    assert not {"NEMO_GYM_CONFIG_DICT", "CRECHE_SECRET", "CRECHE_SANDBOX_TOKEN"} & set(os.environ)


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_assignment_is_taken_or_refused_in_words(key: str, value: str) -> None:
    with contextlib.suppress(SettingsError):
        assert isinstance(load(environ={}, assignments=[f"{key}={value}"]), Settings)


@given(st.sampled_from([field.name for field in attrs.fields(Settings)]), st.text(max_size=10))
def test_a_value_of_a_known_key_is_refused_by_that_key(key: str, value: str) -> None:
    assume(not _is_taken(key, value))
    with pytest.raises(SettingsError, match=key):
        load(environ={}, assignments=[f"{key}={value}"])


def _is_taken(key: str, value: str) -> bool:
    try:
        load(environ={}, assignments=[f"{key}={value}"])
    except SettingsError:
        return False
    return True
