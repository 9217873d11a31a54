"""Pieces of files, in and out."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from tools.transfer import PIECE_BYTES, get_piece, make_folder, put_piece


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("name", ["missing", "folder", "fifo"])
def test_what_is_no_regular_file_is_not_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match=name):
        get_piece({}, str(tmp_path / name), 0)


def test_a_file_where_a_folder_shall_be_is_told_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in ("file/x", "file/x/y"):
        with pytest.raises(OSError, match="not a directory"):
            make_folder({}, str(tmp_path / path))
        with pytest.raises(OSError, match="not a directory"):
            put_piece({}, str(tmp_path / path), 0, "")


def test_pieces_make_a_file_and_the_first_begins_a_new_one(tmp_path: Path) -> None:
    path = str(tmp_path / "a" / "b.bin")
    assert {"bytes": 5} == put_piece({}, path, 0, text(b"\0\1\2\3\4"))
    assert {"bytes": 7} == put_piece({}, path, 5, text(b"\5\6"))
    assert {"data": text(bytes(range(7))), "size": 7} == get_piece({}, path, 0)
    assert {"data": text(b"\6"), "size": 7} == get_piece({}, path, 6)
    put_piece({}, path, 0, text(b"new"))
    assert b"new" == Path(path).read_bytes()


def test_relative_paths_and_those_below_workspace_go_where_the_workspace_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRECHE_WORKSPACE", str(tmp_path))
    put_piece({}, "a/b", 0, text(b"x"))
    put_piece({}, "/workspace/a/c", 0, text(b"y"))
    make_folder({}, "/workspace/a/d/e")
    assert b"xy" == (tmp_path / "a" / "b").read_bytes() + (tmp_path / "a" / "c").read_bytes()
    assert (tmp_path / "a" / "d" / "e").is_dir()


def test_a_long_file_comes_in_pieces(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * (PIECE_BYTES + 1))
    assert PIECE_BYTES == len(base64.b64decode(get_piece({}, str(tmp_path / "long"), 0)["data"]))
    assert text(b"x") == get_piece({}, str(tmp_path / "long"), PIECE_BYTES)["data"]


def test_a_folder_may_be_there_already(tmp_path: Path) -> None:
    for _ in range(2):
        assert {"is_folder": True} == make_folder({}, str(tmp_path / "a" / "b"))
