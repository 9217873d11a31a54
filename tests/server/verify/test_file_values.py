"""Files by what they mean, and files that try to mean something else."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from sandbox.final_state import CapturedFile, FinalState, Rejected
from server.verify.file_values import (
    MAX_BYTES,
    changed_only,
    csv_matches,
    is_there,
    json_matches,
    text_matches,
)


def state_of(*rejected: str, **files: Any) -> FinalState:
    data = {name: text.encode() if isinstance(text, str) else text for name, text in files.items()}
    captured = {name: CapturedFile(each, hashlib.sha256(each).hexdigest()) for name, each in data.items()}
    return FinalState(files=captured, rejected=tuple(Rejected(path, "a link") for path in rejected))


def test_text_is_compared_without_trailing_blanks() -> None:
    assert text_matches(state_of(f="a \r\n b\n\n"), "f", "a\n b")
    for other in ("a\nb", "", "a\n b\nc", b"\xff", "x" * (MAX_BYTES + 1)):
        assert not text_matches(state_of(f=other), "f", "a\n b")
    assert not text_matches(state_of(), "f", "")


@pytest.mark.parametrize("text", ['{"a": [1, 2.50], "b": null}', '{"b":null,"a":[1.0,2.5]}\n'])
def test_json_is_compared_by_value(text: str) -> None:
    assert json_matches(state_of(f=text), "f", {"a": [1, 2.5], "b": None})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"a": [1, 2.5], "b": 0}',
        '{"a": [true, 2.5], "b": null}',
        '{"a": [1, 2.5], "b": 1, "b": null}',
        '{"a": [1, 2.5], "b": null} x',
        "[" * 200_000,
        '{"a": NaN}',
        "1" * 100_000,
        b"\xff\xfe",
    ],
)
def test_other_json_is_not(text: Any) -> None:
    assert not json_matches(state_of(f=text), "f", {"a": [1, 2.5], "b": None})


def test_csv_is_compared_cell_by_cell() -> None:
    rows = [["n", "v"], ["a", "1"], ["b", "2.0"]]
    assert csv_matches(state_of(f='n,v\r\na,1.0\n"b", 2\n\n'), "f", rows)
    assert csv_matches(state_of(f="n,v\nb,2\na,1"), "f", rows, ordered=False)
    assert csv_matches(state_of(f="n,v\na,1.001\nb,2"), "f", rows, tolerance=0.01)
    for text in ("", "n,v\na,1", "n,v\nb,2\na,1", "n,v\na,1\nb,2,3", "n,v\na,1\nb,x", 'n,v\na,1\nb,"2'):
        assert not csv_matches(state_of(f=text), "f", rows)
    assert not csv_matches(state_of(f=""), "f", [])


@pytest.mark.parametrize("ordered", [True, False])
def test_long_whole_numbers_in_csv_are_not_rounded(ordered: bool) -> None:
    rows = [["id"], ["12345678901234567890"], ["7"]]
    assert csv_matches(state_of(f="id\n+12345678901234567890\n7.0"), "f", rows, ordered=ordered)
    assert not csv_matches(state_of(f="id\n12345678901234567891\n7"), "f", rows, ordered=ordered)
    assert csv_matches(state_of(f="id\n12345678901234567891\n8"), "f", rows, tolerance=0.2)


def test_presence_is_that_of_a_regular_file() -> None:
    assert is_there(state_of(f=""), "f")
    assert not is_there(state_of("f"), "f")


def test_only_what_is_allowed_may_change() -> None:
    before: dict[str, str | bytes] = {"src.py": "x", "notes.md": "y", "data.csv": b"z"}
    assert changed_only(state_of(**before), before, [])
    assert changed_only(state_of(**{**before, "src.py": "2", "out.txt": "new"}), before, ["src.py", "out*"])
    assert not changed_only(state_of(**{**before, "data.csv": "2"}), before, ["src.py"])
    assert not changed_only(state_of(**{**before, "conftest.py": ""}), before, ["src.py"])
    assert not changed_only(state_of(f="x"), before, ["*.py"])
    assert not changed_only(state_of("link", **before), before, ["src.py"])
    assert changed_only(state_of("link", **before), before, ["link"])


@pytest.mark.parametrize("path", ["./data/a.txt", "/workspace/data/a.txt", "data/../data//a.txt"])
def test_a_path_is_the_same_however_it_is_spelled(path: str) -> None:
    state = state_of(**{"data/a.txt": "1"})
    assert changed_only(state, {path: "1"}, [])
    assert not changed_only(state, {path: "2"}, [])
    assert changed_only(state, {path: "2"}, [path])
    assert is_there(state, path)
    assert text_matches(state, path, "1")
