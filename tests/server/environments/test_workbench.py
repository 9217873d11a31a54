"""The workbench: files in, tools, files out."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from server.environments.workbench import Workbench
from tests.server.environments.conftest import Player, search_for

ROW = {"files": {"in/a.txt": "one\n"}, "expected_files": {"out.txt": "ONE\n", "in/a.txt": None}}


async def test_the_right_files_are_rewarded_and_summed_up(player: Player) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("python", {"code": "text = open('in/a.txt').read()\ntext"}),
        ("bash", {"command": "tr a-z A-Z < in/a.txt > out.txt && rm in/a.txt && ln -s /etc/passwd link"}),
        ("read_file", {"path": "out.txt"}),
    ]
    played = await player.play(Workbench(), ROW, calls)
    assert played.replies[0] == {"outcome": "ok", "stdout": "", "stderr": "", "result": "'one\\n'"}
    assert played.replies[1] == {"outcome": "ok", "stdout": "", "stderr": "", "exit_code": 0}
    assert played.verdict.reward == 1.0
    assert played.verdict.fields["outcome"] == "ok"
    state = played.verdict.fields["final_state"]
    assert state["files"] == {"out.txt": {"sha256": hashlib.sha256(b"ONE\n").hexdigest(), "bytes": 4}}
    assert [rejected["path"] for rejected in state["rejected"]] == ["link"]
    assert state.keys() == {"files", "rejected", "digest"}


@pytest.mark.parametrize(
    "calls",
    [
        [],
        [("write_file", {"path": "out.txt", "content": "ONE"})],
        [("write_file", {"path": "out.txt", "content": "ONE\n"})],
        [("bash", {"command": "rm -r in; ln -s /proc/self/fd out.txt"})],
        [("bash", {"command": "rm -r in; mkdir out.txt"})],
    ],
    ids=["nothing", "almost", "one of two", "a link", "a folder"],
)
async def test_other_files_are_not(player: Player, calls: list[tuple[str, dict[str, Any]]]) -> None:
    played = await player.play(Workbench(), ROW, calls)
    assert played.verdict.reward == 0.0


async def test_a_row_that_expects_nothing_is_never_rewarded(player: Player) -> None:
    played = await player.play(Workbench(), {"files": {"a": "b"}})
    assert played.verdict.reward == 0.0


async def test_what_is_expected_is_not_in_the_session(player: Player) -> None:
    row = {"expected_files": {"out.txt": "a-very-particular-answer"}}
    cells = [("python", {"code": search_for(text)}) for text in ("a-very-particular-answer", "/workspace")]
    played = await player.play(Workbench(), row, cells)
    assert ["False", "True"] == [reply["result"] for reply in played.replies]
