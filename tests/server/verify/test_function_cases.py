"""Functions judged by arguments and results in JSON."""

from __future__ import annotations

import pytest

from server.verify.function_cases import FunctionCase, FunctionCaseVerifier
from server.verify.setup import SETUP
from server.verify.verdicts import CaseVerdict
from tests.server.verify.conftest import Opener

CASES = [FunctionCase.from_text("[3, 1]\n2", "[1, 3, 2]"), FunctionCase.from_text("[]\n0", "[0]")]
VERIFIER = FunctionCaseVerifier(setup=SETUP, cpu_seconds=2.0, wall_seconds=30.0)


@pytest.mark.parametrize(
    "source",
    [
        "def join(xs, x): return sorted(xs) + [x]",
        "def join(xs, x): return tuple(sorted(xs) + [x])",
        "class Solution:\n    def join(self, xs: List[int], x) -> List:\n        return sorted(xs) + [x]",
    ],
)
async def test_a_right_function_passes_alone_or_as_a_method(opener: Opener, source: str) -> None:
    report = await VERIFIER.verify(opener, source, "join", CASES)
    assert report.passed


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", CaseVerdict.ERROR),
        ("def join(xs, x): return None", CaseVerdict.WRONG_ANSWER),
        ("def join(xs, x): return xs + [x]", CaseVerdict.WRONG_ANSWER),
        ("def join(xs, x): return sorted(xs) + [x, x]", CaseVerdict.WRONG_ANSWER),
        (
            "class Any:\n    def __eq__(self, other): return True\ndef join(xs, x): return Any()",
            CaseVerdict.ERROR,
        ),
        (
            "class Any(list):\n    def __eq__(self, o): return True\ndef join(xs, x): return Any()",
            CaseVerdict.ERROR,
        ),
        ("import os\ndef join(xs, x): os._exit(0)", CaseVerdict.ERROR),
        ("import sys\nsys.exit(0)", CaseVerdict.ERROR),
        ("def join(xs, x):\n    while True: pass", CaseVerdict.TIMEOUT),
        (
            "from tools import plain\nplain.dumps = lambda x: 'null'\ndef join(xs, x): pass",
            CaseVerdict.WRONG_ANSWER,
        ),
    ],
)
async def test_a_wrong_function_or_a_cheat_does_not(
    opener: Opener, source: str, expected: CaseVerdict
) -> None:
    report = await VERIFIER.verify(opener, source, "join", CASES)
    assert (False, [expected]) == (report.passed, [result.verdict for result in report.results])


async def test_each_case_has_a_fresh_process(opener: Opener) -> None:
    source = "calls = []\ndef count():\n    calls.append(1)\n    return len(calls)"
    report = await VERIFIER.verify(opener, source, "count", [FunctionCase([], 1)] * 3)
    assert report.passed


async def test_a_function_that_stops_the_clock_is_out_of_time(opener: Opener) -> None:
    source = """
import signal, time
def f(x):
    signal.setitimer(signal.ITIMER_PROF, 0)
    end = time.process_time() + 1.6
    while time.process_time() < end: pass
    return x
"""
    by = FunctionCaseVerifier(cpu_seconds=1.0, wall_seconds=20.0)
    report = await by.verify(opener, source, "f", [FunctionCase([7], 7)])
    assert [CaseVerdict.TIMEOUT] == [result.verdict for result in report.results]
