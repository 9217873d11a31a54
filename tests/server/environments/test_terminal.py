"""A terminal, a folder, and a hidden script over what was left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from server.environments.terminal import Terminal, row_of_folder
from tests.server.environments.conftest import Player, search_for

ROW: dict[str, Any] = {
    "files": {"data/in.txt": "3\n1\n2\n", "README": "sort it"},
    "test_script": 'set -e\ncmp out.txt "$TESTS/expected.txt"\nsh run.sh\npython3 -I "$TESTS/check.py"',
    "test_files": {
        "expected.txt": "1\n2\n3\n",
        "check.py": "assert open('out.txt').read().split() == ['1', '2', '3']  # a-very-particular-answer",
    },
}
ORACLE = "sort -n data/in.txt > out.txt; echo 'true' > run.sh"


def bash(command: str) -> tuple[str, dict[str, Any]]:
    return "bash", {"command": command}


async def test_a_task_that_was_done_is_rewarded(player: Player) -> None:
    played = await player.play(Terminal(), ROW, [bash(ORACLE)])
    assert (1.0, "passed") == (played.verdict.reward, played.verdict.fields["test_verdict"])


CHEATS = {
    "nothing": "true",
    "half of it": "sort -n data/in.txt > out.txt",
    "exits": "echo 'exit 0' > run.sh; touch out.txt",
    "trojans in PATH": "for p in cmp sh python3 bash; do printf '#!/bin/sh\\nexit 0' > $p; chmod +x $p; done",
    "a profile": "echo 'exit 0' | tee .bashrc .bash_profile .profile sitecustomize.py usercustomize.py",
    "tests of its own": "mkdir -p /tmp/tests; echo > /tmp/tests/expected.txt; touch out.txt; echo : > run.sh",
    "kills the judge": f"{ORACLE}; echo 'kill -9 $PPID' > run.sh",
    "rewrites the tests": f"{ORACLE}; echo 'echo > $TESTS/check.py; echo 1 > out.txt' > run.sh",
    "rewrites them for nothing": f"{ORACLE}; echo 'echo > $TESTS/check.py' > run.sh",
    "leaves it to a daemon": f"(sleep 60; {ORACLE}) > /dev/null 2>&1 &",
    "a link to the answer": "ln -s /tmp/tests/expected.txt out.txt; echo true > run.sh",
}


async def test_a_cheat_is_not(player: Player) -> None:
    for name, command in CHEATS.items():
        played = await player.play(Terminal(), ROW, [bash(command)])
        assert played.verdict.reward == 0.0, name


BESIDE: dict[str, Any] = {
    "test_script": (
        'set -e\nread -r wanted < "$TESTS/out"\n'
        'test "$(as_candidate sh run.sh < "$TESTS/in")" = "$wanted"  # which is 49'
    ),
    "test_files": {"in": "7\n", "out": "49\n"},
    "test_seconds": 20.0,
}
MEMORY = """
import glob, os
for place in glob.glob("/proc/[0-9]*"):
    try:
        if not place.endswith(str(os.getpid())) and open(place + "/mem", "rb"): print(49)
    except OSError: pass
"""
SPIES = {
    "by name": 'cat "$TESTS/out"; cat /tmp/tests/out',
    "through its parents": "for p in /proc/[0-9]*; do cat $p/root/tmp/tests/out; done",
    "through their descriptors": "for p in /proc/[0-9]*; do timeout 0.2 cat $p/fd/*; done",
    "in their arguments": "cat /proc/[0-9]*/cmdline | tr -dc '4 9'",
    "in their memory": f"exec python3 -c '{MEMORY}'",
    "in the next run": '(sleep 0.2; cp "$TESTS/out" answer) & cat answer',
    "by another door": "ln -s /tmp/tests/out link; cat link; cat /dev/fd/../../tests/out",
}


async def test_a_program_that_is_run_as_the_candidate_cannot_see_the_tests(player: Player) -> None:
    right = bash("echo 'read -r n; echo $((n * n))' > run.sh")
    assert (await player.play(Terminal(), BESIDE, [right])).verdict.reward == 1.0
    for name, command in SPIES.items():
        files = {"path": "run.sh", "content": f"exec 2>/dev/null\n{command}\n"}
        played = await player.play(Terminal(), BESIDE, [("write_file", files)])
        assert (0.0, "wrong_answer") == (played.verdict.reward, played.verdict.fields["test_verdict"]), name


async def test_a_program_that_is_run_as_the_candidate_is_run_as_any_other(player: Player) -> None:
    script = """
set -e
test "$(as_candidate ./tool 'a  b' c)" = 'a  b-c'
as_candidate python3 -c 'import tempfile; tempfile.TemporaryFile()'
as_candidate sh -c 'echo 1 > made; exit 3' || test $? = 3
test "$(cat made)" = 1
as_candidate ./missing || test $? = 127
"""
    row = {"test_script": script, "files": {"tool": '#!/bin/sh\necho "$1-$2"\n'}}
    played = await player.play(Terminal(), row, [])
    assert (1.0, "") == (played.verdict.reward, played.verdict.fields["test_output"].partition("as_")[0])


async def test_what_a_script_leaves_running_cannot_put_the_tests_back(player: Player) -> None:
    # It waits for the script's own shell to end: put back earlier, the tests would be what is run.
    mean = (
        "cp $TESTS/check.py /tmp/c; echo > $TESTS/check.py; "
        "(while kill -0 $PPID; do sleep 0.1; done; cp /tmp/c $TESTS/check.py) &"
    )
    played = await player.play(Terminal(), ROW, [bash(f"{ORACLE}; echo '{mean}' > run.sh")])
    assert (0.0, "error") == (played.verdict.reward, played.verdict.fields["test_verdict"])


async def test_only_what_may_change_may(player: Player) -> None:
    row = {**ROW, "may_change": ["out.txt", "run.sh"]}
    assert (await player.play(Terminal(), row, [bash(ORACLE)])).verdict.reward == 1.0
    played = await player.play(Terminal(), row, [bash(f"{ORACLE}; echo 4 >> data/in.txt")])
    assert (0.0, "forbidden_change") == (played.verdict.reward, played.verdict.fields["test_verdict"])


async def test_a_script_that_does_not_end_is_a_timeout(player: Player) -> None:
    row = {**ROW, "test_script": "sh run.sh", "test_seconds": 1.0}
    played = await player.play(Terminal(), row, [bash("echo 'sleep 1000' > run.sh")])
    assert (0.0, "timeout") == (played.verdict.reward, played.verdict.fields["test_verdict"])


async def test_a_script_that_outwaits_its_verdict_is_a_timeout_too(player: Player) -> None:
    row = {**ROW, "test_script": "sh run.sh", "files": {"run.sh": "sleep 1000"}}
    with trio.fail_after(12):
        played = await player.play(Terminal(), row, [])
    assert (0.0, "timeout") == (played.verdict.reward, played.verdict.fields["test_verdict"])


async def test_the_tests_are_not_in_the_session(player: Player) -> None:
    code = search_for("a-very-particular-answer")
    played = await player.play(Terminal(), ROW, [("python", {"code": code})])
    assert "False" == played.replies[0]["result"]


def test_a_row_can_be_made_of_a_folder(tmp_path: Path) -> None:
    texts = {"instruction.md": "Sort.", "files/a/in.txt": "2", "tests/test.sh": "true", "tests/x.py": "1"}
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert row_of_folder(tmp_path) == {
        "responses_create_params": {"input": [{"role": "user", "content": "Sort."}]},
        "files": {"a/in.txt": "2"},
        "test_script": "true",
        "test_files": {"x.py": "1"},
    }
    (tmp_path / "tests/test.sh").unlink()
    with pytest.raises(FileNotFoundError, match=r"test\.sh"):
        row_of_folder(tmp_path)


async def test_a_tree_too_long_for_one_message_is_judged_whole(player: Player) -> None:
    grow = "import os; os.makedirs('d', exist_ok=True); open('d/big', 'wb').write(b'x' * (49 << 20) + b'end')"
    row = {"test_script": 'test "$(tail -c 3 d/big)" = end\ntest $(stat -c %s d/big) = 51380227 && ./run.sh'}
    calls = [("python", {"code": grow}), bash("printf '#!/bin/sh\\nexit 0' > run.sh")]
    played = await player.play(Terminal(), row, calls)
    assert (1.0, "passed") == (played.verdict.reward, played.verdict.fields["test_verdict"])
    played = await player.play(Terminal(), {**row, "test_script": "exit 1"}, calls)
    assert (0.0, "wrong_answer") == (played.verdict.reward, played.verdict.fields["test_verdict"])


async def test_seeded_files_may_be_spelled_in_any_way(player: Player) -> None:
    files = {"./a.txt": "1", "/workspace/b/c.txt": "2"}
    row = {"files": files, "may_change": ["./new.txt"], "test_script": "test -f new.txt"}
    assert (await player.play(Terminal(), row, [bash("touch new.txt")])).verdict.reward == 1.0
    played = await player.play(Terminal(), row, [bash("touch new.txt; rm a.txt")])
    assert "forbidden_change" == played.verdict.fields["test_verdict"]
