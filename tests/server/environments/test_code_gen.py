"""Code generation: three forms of tests, two places for a solution, and cheats."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest

from scripts.replaying.recording import failed_case
from server.aggregation.report import aggregate
from server.environments import code_tests
from server.environments.code_gen import CodeGen, CodeGenTask
from server.environments.code_tests import read_tests
from server.verify.verdicts import UnusableTestError
from tests.server.environments.conftest import Player, recorded, search_for

DOUBLE = {"verifier_metadata": {"unit_tests": {"inputs": ["4\n", "5\n"], "outputs": ["8\n", "10\n"]}}}
PAIRS = {
    "verifier_metadata": {
        "unit_tests": {"inputs": ["[1, 2]\n3", "[]\n0"], "outputs": ["[1, 2, 3]", "[0]"], "fn_name": "append"}
    }
}
HUMAN = {
    "verifier_metadata": {
        "test": "def check(candidate):\n    assert candidate(2) == half(8)\n    assert candidate(0) == 0\n",
        "entry_point": "double",
        "prompt": "def half(x):\n    return x // 2\n\ndef double(x: int) -> int:\n    '''Double it.'''\n",
    }
}
MBPP = {
    "verifier_metadata": {"unit_tests": {"asserts": ["assert double(2) == 4", "assert math.pi < double(2)"]}}
}
BIG = {
    "verifier_metadata": {
        "test": """
import unittest
class TestCases(unittest.TestCase):
    def test_a(self):
        self.assertEqual(double(np), 'numpy' * 2)
    def test_b(self):
        self.assertEqual(double(self), None)
""",
        "entry_point": "double",
        "code_prompt": "import random as np\ndef double(module):",
    }
}


def block(source: str) -> str:
    return f"Here it is:\n```python\n{source}\n```"


async def test_recorded_rollouts_give_the_recorded_verdicts(player: Player) -> None:
    first, _, third = recorded("code_gen.rollouts")
    for rollout, row in ((first, failed_case(first) or {}), (third, recorded("code_gen")[2])):
        played = await player.play(CodeGen(), row, response=rollout["response"])
        assert rollout["reward"] == played.verdict.reward
        for name in ("extracted_model_output", "extracted_model_code", "result", "metadata"):
            assert rollout[name] == played.verdict.fields[name]


@pytest.mark.parametrize(
    ("row", "solution"),
    [
        (DOUBLE, "print(int(input()) * 2)"),
        (PAIRS, "def append(xs, x): return xs + [x]"),
        (PAIRS, "class Solution:\n    def append(self, xs: List[int], x: int): return (*xs, x)"),
        (HUMAN, "def double(x): return x * 2"),
        (HUMAN, "    return x * 2"),
        (MBPP, "def double(x): return x * 2"),
    ],
)
async def test_a_right_solution_is_rewarded_from_either_place(
    player: Player, row: dict[str, Any], solution: str
) -> None:
    said = await player.play(CodeGen(), row, text=block(solution))
    assert said.verdict.reward == 1.0
    write = [("write_file", {"path": "solution.py", "content": solution})]
    written = await player.play(CodeGen(), row, write, text=block("the file goes before this"))
    assert written.verdict.reward == 1.0
    assert (
        said.verdict.fields["extracted_model_code"]
        == written.verdict.fields["extracted_model_code"]
        == solution
    )
    assert said.verdict.fields["verification_mode"] == "isolated"


@pytest.mark.parametrize(
    "row", [DOUBLE, PAIRS, HUMAN, MBPP], ids=["programs", "function cases", "check", "asserts"]
)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "no code",
        block(""),
        block("def double(x): return None\ndef append(xs, x): return None"),
        block("import os\nos._exit(0)"),
        block("import sys\nsys.exit(0)"),
        block("class Any:\n    __eq__ = lambda s, o: True\ndouble = append = lambda *a: Any()\nprint(8)"),
        block("raise __import__('unittest').SkipTest"),
    ],
    ids=["nothing", "no code", "empty", "None", "exits hard", "exits", "equal to all", "skips"],
)
async def test_a_cheat_is_not(player: Player, row: dict[str, Any], text: str) -> None:
    played = await player.play(CodeGen(), row, text=text)
    assert played.verdict.reward == 0.0


async def test_tests_that_need_objects_meet_the_solution_and_that_is_told(player: Player) -> None:
    right = "class np: pass\ndef double(x):\n    return 'numpy' * 2 if x is np else None"
    played = await player.play(CodeGen(), BIG, text=block(right))
    assert played.verdict.reward == 1.0
    assert played.verdict.fields["verification_mode"] == "in_process"
    for cheat in ("", "import os; os._exit(0)", "def double(x): return None"):
        assert (await player.play(CodeGen(), BIG, text=block(cheat))).verdict.reward == 0.0


async def test_a_failed_case_is_told_as_live_code_bench_does(player: Player) -> None:
    played = await player.play(CodeGen(), DOUBLE, text=block("print(8)"))
    assert played.verdict.fields["result"] == [True, -2]
    assert played.verdict.fields["metadata"] == {
        "output": "8\n",
        "inputs": "5\n",
        "expected": "10\n",
        "error_code": -2,
        "error_message": "Wrong answer at line 0: 8 != 10",
    }
    played = await player.play(CodeGen(), DOUBLE, text=block("1 / 0"))
    assert played.verdict.fields["result"] == [-4]
    assert played.verdict.fields["metadata"]["error_message"] == "Runtime Error"
    assert "ZeroDivisionError" in played.verdict.fields["metadata"]["error"]


async def test_the_tests_are_not_in_the_session(player: Player) -> None:
    played = await player.play(CodeGen(), HUMAN, [("python", {"code": search_for("half(8)")})])
    assert played.replies[0]["result"] == "False"


def test_tests_are_found_wherever_the_row_has_them() -> None:
    tests = DOUBLE["verifier_metadata"]["unit_tests"]
    packed = {"packed": base64.b64encode(zlib.compress(json.dumps(tests).encode())).decode(), "fn_name": None}
    assert read_tests(tests) == CodeGenTask(verifier_metadata=tests).tests() == read_tests(packed)
    human: dict[str, Any] = HUMAN["verifier_metadata"]
    assert CodeGenTask(**human).tests() == CodeGenTask(verifier_metadata=human).tests()
    assert CodeGenTask(asserts=["assert f(1)"]).tests() is not None


def packed(tests: bytes) -> dict[str, Any]:
    return {"unit_tests": {"packed": base64.b64encode(zlib.compress(tests)).decode()}}


async def test_packed_tests_are_unpacked_for_the_verdict_only(player: Player) -> None:
    tests = json.dumps(DOUBLE["verifier_metadata"]["unit_tests"]).encode()
    row = {"verifier_metadata": packed(tests)}
    played = await player.play(CodeGen(), row, text=block("print(2 * int(input()))"))
    assert played.verdict.reward == 1.0
    CodeGenTask(verifier_metadata=packed(b"no JSON, and nobody looks yet")).check()


@pytest.mark.parametrize("packed_tests", ["?", "AAAA", 7, "eJx"])
def test_what_is_not_packed_is_refused_at_once(packed_tests: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        CodeGenTask(verifier_metadata={"unit_tests": {"packed": packed_tests}}).check()


def test_a_row_that_would_fill_the_memory_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_tests, "MAX_UNPACKED_BYTES", 2**20)
    bomb = CodeGenTask(verifier_metadata=packed(b" " * (2**20 + 1)))
    bomb.check()
    with pytest.raises(ValueError, match="longer than"):
        bomb.tests()


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"unit_tests": {}},
        {"unit_tests": {"inputs": [], "outputs": []}},
        {"unit_tests": {"inputs": ["1"], "outputs": []}},
        {"test": "def check(candidate): ..."},
    ],
)
def test_a_row_without_tests_is_refused(metadata: Any) -> None:
    with pytest.raises(ValueError, match="test"):
        CodeGenTask(verifier_metadata=metadata).tests()


def test_asserts_that_test_nobody_are_refused() -> None:
    with pytest.raises(UnusableTestError):
        CodeGenTask(asserts=["assert True"]).tests()


def test_a_run_is_reported_by_difficulty() -> None:
    replies = [
        {"reward": reward, "difficulty": level, "extracted_model_code": code, "_ng_rollout_index": repeat}
        | {"_ng_task_index": task}
        for task, repeat, level, reward, code in (
            (0, 0, "easy", 1.0, "a"),
            (0, 1, "easy", 1.0, "a"),
            (1, 0, "hard", 0.0, "b"),
            (1, 1, "hard", 1.0, None),
        )
    ]
    made = aggregate(CodeGen(), {"verify_responses": replies})
    assert {
        "pass@2/accuracy": 100.0,
        "pass@1[avg-of-2]/accuracy": 75.0,
        "majority@2/accuracy": 50.0,
        "easy/pass@1[avg-of-2]/accuracy": 100.0,
        "hard/pass@1[avg-of-2]/accuracy": 50.0,
    } == made["key_metrics"]
