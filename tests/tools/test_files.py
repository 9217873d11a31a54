from __future__ import annotations

import base64
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools import files
from tools.files import edit_file, list_files, read_file, write_bytes, write_file

if TYPE_CHECKING:
    from collections.abc import Callable

STATE: dict[str, Any] = {}


@pytest.fixture(name="workspace", autouse=True)
def _workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "workspace"
    path.mkdir()
    monkeypatch.setattr(files, "WORKSPACE", str(path))
    return path


def test_what_is_written_is_read_again(workspace: Path) -> None:
    assert {"outcome": "ok", "bytes": 7} == write_file(STATE, "a/b/c.txt", "é\r\n☃")

    assert {"outcome": "ok", "content": "é\r\n☃"} == read_file(STATE, path="a/b/c.txt")
    assert "é\r\n☃".encode() == (workspace / "a/b/c.txt").read_bytes()


def test_writing_replaces_what_was_there_and_keeps_its_mode(workspace: Path) -> None:
    (workspace / "run.sh").write_text("a longer text")
    (workspace / "run.sh").chmod(0o755)

    assert {"outcome": "ok", "bytes": 0} == write_file(STATE, "run.sh", "")
    assert b"" == (workspace / "run.sh").read_bytes()
    assert 0o755 == (workspace / "run.sh").stat().st_mode & 0o777


def test_an_absolute_path_means_what_it_says(tmp_path: Path) -> None:
    write_file(STATE, str(tmp_path / "outside.txt"), "x")

    assert "x" == (tmp_path / "outside.txt").read_text()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_any_bytes_can_be_written_in_base64(workspace: Path, data: bytes) -> None:
    answer = write_bytes(STATE, "deep/data.bin", base64.b64encode(data).decode())

    assert {"outcome": "ok", "bytes": len(data)} == answer
    assert data == (workspace / "deep/data.bin").read_bytes()


def test_what_is_no_base64_is_refused(workspace: Path) -> None:
    with pytest.raises(ValueError, match=r"^the data is not base64$"):
        write_bytes(STATE, "x", "no base64!")

    assert not (workspace / "x").exists()


def test_bytes_that_are_no_text_are_read_as_replacement_characters(workspace: Path) -> None:
    (workspace / "x").write_bytes(b"a\xff\xe2\x98b")

    assert {"outcome": "ok", "content": "a\ufffd\ufffdb"} == read_file(STATE, "x")


@pytest.mark.parametrize(("size", "kept"), [(-1, -1), (0, 0), (1, 0)])
def test_a_file_is_read_up_to_the_bound(workspace: Path, size: int, kept: int) -> None:
    (workspace / "x").write_bytes(b"a" * (files.READ_BYTES + size))
    answer = read_file(STATE, "x")

    assert files.READ_BYTES + kept == len(answer["content"])
    assert (size > 0) is answer.get("truncated", False)


def test_the_bound_cuts_no_character_in_half(workspace: Path) -> None:
    (workspace / "x").write_bytes(b"a" + "é".encode() * files.READ_BYTES)
    answer = read_file(STATE, "x")

    assert "\ufffd" not in answer["content"]
    assert files.READ_BYTES - 1 == len(answer["content"].encode())


def test_a_sparse_giant_is_not_read_whole(workspace: Path) -> None:
    with (workspace / "x").open("wb") as file:
        file.truncate(1 << 40)

    assert read_file(STATE, "x")["truncated"]
    with pytest.raises(ValueError, match=r"^too large to edit: x$"):
        edit_file(STATE, "x", "a", "b")


@pytest.mark.parametrize(
    "act",
    [
        lambda path: read_file(STATE, path),
        lambda path: write_file(STATE, path, "x"),
        lambda path: edit_file(STATE, path, "a", "b"),
    ],
    ids=["read", "write", "edit"],
)
class TestEveryTool:
    def test_refuses_what_is_no_regular_file_without_waiting_for_it(
        self, workspace: Path, act: Callable[[str], Any]
    ) -> None:
        os.mkfifo(workspace / "fifo")
        # A path of a socket may have 107 bytes, and pytest's directories are deeper.
        with socket.socket(socket.AF_UNIX) as listening:
            here = os.open(workspace, os.O_PATH)
            listening.bind(f"/proc/self/fd/{here}/socket")
            os.close(here)
            for path in ("fifo", "socket", "/dev/null"):
                with pytest.raises(OSError, match=f"^not a regular file: {path}$"):
                    act(path)

    def test_a_fifo_that_somebody_holds_open_is_refused_too(
        self, workspace: Path, act: Callable[[str], Any]
    ) -> None:
        os.mkfifo(workspace / "fifo")
        held = os.open(workspace / "fifo", os.O_RDWR)
        try:
            with pytest.raises(OSError, match=r"^not a regular file: fifo$"):
                act("fifo")
        finally:
            os.close(held)

    def test_says_plainly_what_is_wrong_with_a_path(self, workspace: Path, act: Callable[[str], Any]) -> None:
        (workspace / "folder").mkdir()
        (workspace / "file").write_text("a")
        (workspace / "loop").symlink_to("loop")
        for path, message in {
            "folder": "is a directory: folder",
            ".": "is a directory: .",
            "": "is a directory: ",
            "file/x": "not a directory: file/x",
            "loop": "too many symbolic links: loop",
            "n" * 300: "name too long: " + "n" * 300,
        }.items():
            with pytest.raises(OSError) as caught:  # noqa: PT011 - its message is looked at below
                act(path)
            assert message == str(caught.value)
        for path, message in {
            "a\0b": "the path holds a NUL character",
            "\ud800": "the path is not valid Unicode text",
        }.items():
            with pytest.raises(ValueError, match=f"^{message}$"):
                act(path)

    def test_leaves_no_descriptor_open(self, workspace: Path, act: Callable[[str], Any]) -> None:
        (workspace / "file").write_text("a")
        before = len(list(Path("/proc/self/fd").iterdir()))
        act("file")
        with pytest.raises(OSError, match="directory"):
            act(".")

        assert before == len(list(Path("/proc/self/fd").iterdir()))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"^no such file: a\.txt$"):
        read_file(STATE, "a.txt")
    with pytest.raises(FileNotFoundError, match=r"^no such file: a\.txt$"):
        edit_file(STATE, "a.txt", "a", "b")


def test_a_full_disk_is_said_to_be_full() -> None:
    with pytest.raises(OSError, match=r"^no space left: x$"), files.plainly("x"):
        raise OSError(28, "No space left on device")


def test_content_that_is_no_text_is_refused_before_the_file_is_touched(workspace: Path) -> None:
    (workspace / "x").write_text("kept")
    with pytest.raises(ValueError, match=r"^the content is not valid Unicode text: x$"):
        write_file(STATE, "x", "\ud800")
    with pytest.raises(ValueError, match="valid Unicode text"):
        edit_file(STATE, "x", "kept", "\ud800")

    assert "kept" == (workspace / "x").read_text()


def test_an_edit_replaces_the_one_place_and_nothing_else(workspace: Path) -> None:
    (workspace / "x").write_bytes(b"\xff one\r\ntwo\tthree \xfe")

    assert {"outcome": "ok"} == edit_file(STATE, path="x", old="one\r\ntwo", new="1\n2")
    assert b"\xff 1\n2\tthree \xfe" == (workspace / "x").read_bytes()


def test_an_edit_may_delete_and_lengthen(workspace: Path) -> None:
    (workspace / "x").write_text("abc")
    edit_file(STATE, "x", "b", "")
    assert "ac" == (workspace / "x").read_text()
    edit_file(STATE, "x", "c", "c" * 1000)

    assert "a" + "c" * 1000 == (workspace / "x").read_text()


@pytest.mark.parametrize(
    ("text", "old", "message"),
    [
        ("abc", "x", "`old` is not found in f"),
        ("", "x", "`old` is not found in f"),
        ("a b a b a", "a", "`old` is found 3 times in f, and must be once: give more of the text around it"),
        ("aaa", "aa", "`old` is found 2 times in f, and must be once: give more of the text around it"),
        ("abc", "", "`old` is empty: it must be text that is found exactly once"),
    ],
)
def test_an_edit_that_is_not_of_exactly_one_place_changes_nothing(
    workspace: Path, text: str, old: str, message: str
) -> None:
    (workspace / "f").write_text(text)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its message is looked at below
        edit_file(STATE, "f", old, "new")

    assert message == str(caught.value)
    assert text == (workspace / "f").read_text()


def test_a_listing_is_sorted_and_goes_into_folders_but_not_through_links(workspace: Path) -> None:
    for name in ("b/z.txt", "b/a/deep", "a.txt", "a/x", "a0"):
        write_file(STATE, name, "")
    (workspace / "empty").mkdir()
    (workspace / "link").symlink_to("/")
    (workspace / "dangling").symlink_to("nowhere")
    expected = ["a.txt", "a/", "a/x", "a0", "b/", "b/a/", "b/a/deep", "b/z.txt", "dangling", "empty/", "link"]

    assert {"outcome": "ok", "files": expected} == list_files(STATE)
    assert expected == sorted(expected)
    assert {"outcome": "ok", "files": ["a/", "a/deep", "z.txt"]} == list_files(STATE, path="b")


def test_a_long_listing_is_cut_and_says_so(workspace: Path) -> None:
    for number in range(files.LIST_ENTRIES):
        (workspace / f"{number:04}").touch()
    assert "truncated" not in list_files(STATE)
    (workspace / "zzz").touch()
    answer = list_files(STATE)

    assert answer["truncated"]
    assert [f"{number:04}" for number in range(files.LIST_ENTRIES)] == answer["files"]


def test_a_tree_that_is_too_deep_for_a_path_is_listed_as_far_as_paths_go(workspace: Path) -> None:
    here = os.open(workspace, os.O_PATH)
    for _ in range(40):
        os.mkdir("d" * 200, dir_fd=here)
        inner = os.open("d" * 200, os.O_PATH, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)

    assert 10 < len(list_files(STATE)["files"]) < 40


def test_a_name_that_is_no_text_is_listed_with_replacement_characters(workspace: Path) -> None:
    os.close(os.open(os.fsencode(workspace) + b"/a\xffb", os.O_CREAT))

    assert ["a\ufffdb"] == list_files(STATE)["files"]


def test_what_cannot_be_listed_is_named(workspace: Path) -> None:
    (workspace / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"^not a directory: file$"):
        list_files(STATE, "file")
    with pytest.raises(FileNotFoundError, match=r"^no such file: nowhere$"):
        list_files(STATE, "nowhere")


def test_models_are_told_that_only_the_folder_to_list_may_be_left_out() -> None:
    assert ["path", "content"] == write_file.schema()["required"]
    assert ["path"] == read_file.schema()["required"]
    assert ["path", "old", "new"] == edit_file.schema()["required"]
    assert [] == list_files.schema()["required"]
    assert "." == list_files.schema()["properties"]["path"]["default"]
