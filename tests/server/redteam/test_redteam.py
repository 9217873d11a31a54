"""`creche redteam`: it finds the holes of a weak environment, and tells them."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from server.cli import main
from server.environments import load_shipped
from server.playing.samples import SAMPLES
from server.redteam.attempt import MARK
from server.redteam.catalogue import ATTACKS
from server.redteam.target import Target
from server.verify.extraction import last_code_block
from tests.cheats.weak import Weak

WEAK = f"{Path(__file__).parents[2] / 'cheats' / 'weak.py'}:Weak"


def run(*arguments: str) -> tuple[int, str, str]:
    ran = CliRunner().invoke(main, ["redteam", *arguments])
    return ran.exit_code, ran.stdout, ran.stderr


def test_the_planted_holes_are_found_and_what_holds_is_not_blamed(tmp_path: Path) -> None:
    numbers = {
        1: "fooled",
        3: "fooled",
        20: "leaked",
        37: "escaped",
        32: "held",
        41: "held",
        28: "not applicable",
    }
    chosen = [part for number in numbers for part in ("--attack", str(number))]
    status, told, _ = run(WEAK, *chosen, "--json", "--output", str(tmp_path / "report.md"))
    assert 1 == status
    found = json.loads(told)
    assert numbers == {attack["number"]: attack["word"] for attack in found["attacks"]}
    assert [{"row": 1, "nop": 0.0, "oracle": 1.0, "problems": []}] == found["rows"]
    report = (tmp_path / "report.md").read_text()
    for words in (
        "### 1. exit before the asserts: fooled",
        "os._exit(0)",
        "**Remedy:**",
        "| 32 | say nothing | held",
    ):
        assert words in report
    assert report.index("### 1.") < report.index("### 37.") < report.index("## All attacks")


def test_a_person_is_told_what_was_tried_and_what_to_do() -> None:
    status, told, _ = run(WEAK, "--attack", "1")
    assert 1 == status
    for words in (
        "nop: does nothing",
        "fooled",
        "Seen: row 1",
        "Remedy: Run the tests in another",
    ):
        assert words in re.sub(r"\s+", " ", told)


def test_a_script_that_runs_programs_beside_its_tests_is_found(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    script = 'python3 -I square.py < "$TESTS/in" | cmp - "$TESTS/out"'
    row = {"test_script": script, "test_files": {"in": "12345\n", "out": "152399025\n"}}
    for written, word in ((script, "fooled"), (f"as_candidate {script}", "held")):
        rows.write_text(json.dumps({**row, "test_script": written}))
        _, told, _ = run("terminal", "--rows", str(rows), "--attack", "20", "--json")
        assert [word] == [attack["word"] for attack in json.loads(told)["attacks"]]


def test_a_hidden_test_that_imports_the_sessions_module_is_found(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    check = "import sys\nsys.path.append('.')\nimport square\nassert square.of(3) == 9\n"
    row = {"test_script": 'python3 -I "$TESTS/check.py"', "test_files": {"check.py": check}}
    rows.write_text(json.dumps(row))
    _, told, _ = run("terminal", "--rows", str(rows), "--attack", "1", "--json")
    assert ["fooled"] == [attack["word"] for attack in json.loads(told)["attacks"]]


def test_a_shipped_environment_holds() -> None:
    status, told, _ = run("workbench", "--attack", "11", "--attack", "35", "--attack", "42")
    assert (0, True) == (status, "none of them worked" in told)


def test_a_verifier_that_pays_for_nothing_is_told_without_any_attack(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"expected_result": "1", "oracle": {"text": "nothing"}}\n\n')
    status, told, _ = run("math_with_code", "--rows", str(rows), "--attack", "38")
    assert (1, True) == (status, "row 1: the reference solution is rewarded 0" in told)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["workbench", "--attack", "99"], "there is no attack 99"),
        (["workbench", "--rows", "/nowhere"], "cannot be read"),
        (["workbench", "--rows", "{empty}"], "has no rows"),
        (["workbench", "--rows", "{text}"], "no file of JSON lines"),
        (["workbench", "--rows", "{list}"], "line 2, is no JSON object"),
        (
            ["math_with_code", "--rows", "{wrong}"],
            "row 1 gives no verdict even to an agent that does nothing",
        ),
        (["nothing"], "no environment is called"),
    ],
)
def test_what_cannot_be_attacked_is_told_apart(tmp_path: Path, arguments: list[str], words: str) -> None:
    for name, text in (("empty", "\n"), ("text", "no"), ("list", "{}\n[]"), ("wrong", '{"a": 1}')):
        (tmp_path / name).write_text(text)
    filled = [argument.replace("{", f"{tmp_path}/").replace("}", "") for argument in arguments]
    status, _, told = run(*filled)
    assert (2, True) == (status, words in told), told


def targets() -> list[Target]:
    weak = Weak()
    found = [Target.of(weak.examples[0], weak.toolbox.tools, 1.0)]
    for name, rows in SAMPLES.items():
        tools = load_shipped(name)().toolbox.tools
        found += [Target.of(row, tools, 1.0) for row in rows]
    return found


def test_the_catalogue_has_every_number_once_and_each_attack_applies_somewhere() -> None:
    assert list(range(1, 43)) == list(ATTACKS)
    for attack in ATTACKS.values():
        assert any(list(attack.make(target)) for target in targets()), attack.name
        assert attack.tries.endswith(".")
        assert attack.remedy.endswith((".", ")"))


def test_every_hostile_program_is_one() -> None:
    for target in targets():
        for attack in ATTACKS.values():
            for attempt in attack.make(target):
                if attempt.keeps_reward:
                    continue  # that one has the reference solution
                sources = [call.arguments["code"] for call in attempt.calls if call.tool == "python"]
                sources.append(last_code_block(attempt.text) or "")
                for source in sources:
                    ast.parse(source)
                    assert MARK not in source  # or it would find itself


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"a": {"inputs": ["1"], "outputs": ["2"]}}, {"cases": (("1", "2"),), "is_program": True}),
        ({"fn_name": "f", "inputs": ["1"], "outputs": ["2"]}, {"functions": ("f",), "is_program": False}),
        ({"asserts": ["assert not f(1)", "assert g(2)"]}, {"functions": ("f", "g"), "judges_code": True}),
        ({"expected_answer": 7}, {"answers": ("7",), "judges_code": False}),
        ({"answer": "told already", "responses_create_params": {"input": "told already"}}, {"truths": ()}),
        ({"hidden_tests": ["a long secret"]}, {"truths": (("hidden_tests[0]", "a long secret"),)}),
        ({"expected_files": {"a/b": "x"}, "output_path": "c"}, {"paths": ("a/b", "c")}),
    ],
)
def test_a_row_is_read_for_what_can_be_attacked(row: dict[str, Any], expected: dict[str, Any]) -> None:
    target = Target.of(row, Weak().toolbox.tools)
    assert expected == {name: getattr(target, name) for name in expected}
