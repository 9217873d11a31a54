"""Final states against expected files."""

from __future__ import annotations

import hashlib

import pytest

from sandbox.final_state import CapturedFile, FinalState, Rejected
from server.verify.files import files_match, summary


def captured(text: str) -> CapturedFile:
    data = text.encode()
    return CapturedFile(data, hashlib.sha256(data).hexdigest())


STATE = FinalState(
    files={"a.txt": captured("one\n"), "folder/b.txt": captured("")},
    rejected=(Rejected("link", "a symbolic link"),),
)


@pytest.mark.parametrize(
    "expected",
    [
        {"a.txt": "one\n"},
        {"/workspace/a.txt": "one\n", "./folder/../folder/b.txt": ""},
        {"gone": None, "folder/c": None, "fold": None},
    ],
)
def test_what_matches(expected: dict[str, str | None]) -> None:
    assert files_match(STATE, expected)


@pytest.mark.parametrize(
    "expected",
    [
        {},
        {"a.txt": "one"},
        {"a.txt": "one\n", "missing": ""},
        {"a.txt": None},
        {"folder": None},
        {"folder": ""},
        {"link": None},
        {"link": ""},
    ],
)
def test_what_does_not(expected: dict[str, str | None]) -> None:
    assert not files_match(STATE, expected)


def test_the_summary_names_files_by_digest_and_never_by_content() -> None:
    empty = hashlib.sha256(b"").hexdigest()
    assert summary(STATE) == {
        "files": {
            "a.txt": {"sha256": hashlib.sha256(b"one\n").hexdigest(), "bytes": 4},
            "folder/b.txt": {"sha256": empty, "bytes": 0},
        },
        "rejected": [{"path": "link", "reason": "a symbolic link"}],
        "digest": STATE.digest,
    }
