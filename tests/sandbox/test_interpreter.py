"""The interpreter that a profile names, asked where it lives."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sandbox import interpreter
from sandbox.errors import Unsupported
from sandbox.interpreter import find_interpreter


def script(folder: Path, text: str) -> str:
    path = folder / "python"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("exit 3\n", "does not run"),
        ("echo nonsense\n", "does not run"),
        ("kill -9 $$\n", "does not run"),
        (
            'echo \'{"version": [3, 8], "prefix": "/u", "executable": "/u/python3", "purelib": "/u/x"}\'\n',
            "must be 3.9 or later",
        ),
    ],
)
def test_an_interpreter_that_is_none_or_too_old_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = script(tmp_path, text)
    with pytest.raises(Unsupported, match=rf"{path} .*{complaint}"):
        find_interpreter(path)


def test_an_interpreter_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "_PROBE_SECONDS", 0.1)
    with pytest.raises(Unsupported, match="timed out"):
        find_interpreter(script(tmp_path, "exec sleep 60\n"))


def test_the_base_interpreter_is_found_from_within_a_virtual_environment() -> None:
    assert os.path.realpath(sys.base_prefix) == find_interpreter(None).prefix
    assert find_interpreter(sys.executable).prefix == find_interpreter(None).prefix
