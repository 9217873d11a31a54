"""The three roles of a verifier's sandbox, without the sandbox: what each hands to the next."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tools import plain
from tools.judging import ROLES
from tools.judging_candidate import call_candidate, load_candidate
from tools.judging_program import can_hit_nobody_else, run_program
from tools.judging_test import judge_resume, judge_start


def test_every_role_names_a_function_that_is_there() -> None:
    for name, (_lane, target, _streams) in ROLES.items():
        module, _, function = target.partition(":")
        assert function == name
        assert callable(getattr(import_module(module), function))


def play(source: str, test: str, prelude: str = "") -> dict[str, Any]:
    """Return how the test ends, with the two sides joined by nothing but their answers."""
    candidate: dict[str, Any] = {}
    judge: dict[str, Any] = {}
    assert load_candidate(candidate, source, prelude) == {"kind": "loaded"}
    step = judge_start(judge, prelude, [test], ["f"], None)
    while "call" in step:
        step = judge_resume(judge, call_candidate(candidate, **step["call"]))
    done: dict[str, Any] = step["done"]
    return done


def test_a_test_that_holds_passes() -> None:
    done = play("def f(x, *, y=1): return x + y", "assert f(1) == 2\nassert f(1, y=2) == 3")
    assert done == {"passed": True, "calls": 2, "failure": None, "error": None}


def test_a_test_that_does_not_hold_says_why() -> None:
    assert play("def f(x): return x", "assert f(1) == 2, 'no two'") == {
        "passed": False,
        "calls": 1,
        "failure": "assertion",
        "error": "AssertionError: no two",
    }


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "makes no sense"),
        ([], "makes no sense"),
        ({}, "makes no sense"),
        ({"kind": "value"}, "makes no sense"),
        ({"kind": "value", "value": ["l"]}, "makes no sense"),
        ({"kind": "value", "value": "[" * 100_000}, "makes no sense"),
        ({"kind": "value", "value": "1", "arguments": "1"}, "makes no sense"),
        ({"kind": "raise", "type": "ValueError"}, "makes no sense"),
        ({"kind": "raise", "type": ["x"], "message": "x"}, "makes no sense"),
        ({"kind": "raise", "type": "SystemExit", "message": "0"}, "CandidateError: SystemExit: 0"),
        ({"kind": "raise", "type": "StopIteration", "message": ""}, "CandidateError: StopIteration"),
        (
            {"kind": "raise", "type": "UnicodeDecodeError", "message": "x"},
            "CandidateError: UnicodeDecodeError: x",
        ),
        ({"kind": "raise", "type": "print", "message": "x"}, "CandidateError: print: x"),
        ({"kind": "raise", "type": "ValueError", "message": "x"}, "ValueError: x"),
        ({"kind": "refused", "reason": "an object"}, "CandidateError: an object"),
    ],
)
def test_an_answer_of_any_shape_becomes_the_candidates_failure(answer: Any, message: str) -> None:
    judge: dict[str, Any] = {}
    assert "call" in judge_start(judge, "", ["f(1)"], ["f"], None)
    done = judge_resume(judge, answer)["done"]
    assert (False, "exception") == (done["passed"], done["failure"])
    assert message in done["error"]


def test_asserts_of_the_test_count_under_every_optimisation() -> None:
    done = play("def f(): return 1", "f()\nassert False")
    assert "assertion" == done["failure"]


def test_the_candidates_own_message_may_be_hostile() -> None:
    source = "class E(Exception):\n    def __str__(self): raise RuntimeError\ndef f(): raise E"
    assert "CandidateError: E: " == play(source, "f()")["error"]


def test_a_number_too_long_to_write_ends_the_test_all_the_same() -> None:
    assert "ValueError" in play("def f(): return 10 ** 5000", "raise ValueError(f())")["error"]


def test_a_refused_result_is_named() -> None:
    state: dict[str, Any] = {}
    load_candidate(state, "def f(): return object()")
    assert call_candidate(state, "f", plain.dumps([[], {}])) == {
        "kind": "refused",
        "reason": "a builtins.object is not plain data",
    }


def test_an_argument_that_cannot_be_read_is_named() -> None:
    state: dict[str, Any] = {}
    load_candidate(state, "def f(x): return x")
    assert call_candidate(state, "f", '["l",["l",["S",1,1]],["d"]]') == {
        "kind": "refused",
        "reason": "an argument: equal items in a 'S'",
    }


def test_a_name_that_is_not_there_is_an_error_of_the_candidates() -> None:
    state: dict[str, Any] = {}
    load_candidate(state, "")
    assert call_candidate(state, "f", plain.dumps([[], {}])) == {
        "kind": "raise",
        "type": "NameError",
        "message": "the solution defines no f",
    }


def test_a_source_that_does_not_load_says_so() -> None:
    assert load_candidate({}, "raise ValueError('no')") == {
        "kind": "raise",
        "type": "ValueError",
        "message": "no",
    }
    assert load_candidate({}, "def f(:")["type"] == "SyntaxError"


def test_a_body_is_taken_together_with_its_prompt() -> None:
    state: dict[str, Any] = {}
    assert load_candidate(state, "    return x + 1\n", 'def f(x):\n    """Add one."""\n') == {
        "kind": "loaded"
    }
    assert call_candidate(state, "f", plain.dumps([[1], {}])) == {"kind": "value", "value": "2"}


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("", 0),
        ("raise SystemExit", 0),
        ("raise SystemExit(300)", 44),
        ("raise SystemExit('text')", 1),
        ("raise KeyError", 1),
        ("def", 1),
        ("import os; os._exit(5)", 5),
        ("import os; os.kill(os.getpid(), 9)", -9),
        ("import sys; sys.stdout.close()", 0),
    ],
)
def test_a_programs_exit_code_is_that_of_an_interpreter(
    source: str, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert code == run_program({}, source, "")["exit_code"]
    assert ("Error" in capfd.readouterr().err) == (source in {"raise KeyError", "def"})


def test_a_program_prints_to_the_lanes_own_streams(capfd: pytest.CaptureFixture[str]) -> None:
    source = "import os, sys\nprint(open(0).read(), sys.argv, __name__, __file__)\nos.write(2, b'err')"
    run_program({}, source, "in", setup="import builtins")
    assert ("in ['solution.py'] __main__ solution.py\n", "err") == capfd.readouterr()


def test_a_program_inherits_no_descriptor_but_its_streams(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        run_program(
            {}, "import os; print(sorted(os.listdir('/proc/self/fd'))[:3], os.get_inheritable(0))", ""
        )
        run_program({}, f"import os; os.write({file.fileno()}, b'x')", "")
    assert capfd.readouterr().out.startswith("['0', '1', '2']")
    assert not (tmp_path / "secret").read_text()


def test_outside_of_a_sandbox_a_signal_to_everybody_would_hit_others() -> None:
    assert not can_hit_nobody_else()  # and so `end_leftovers` sends none
