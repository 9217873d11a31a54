"""Functions judged by a test that runs elsewhere: what a test can see, and what cheats cannot reach."""

from __future__ import annotations

import attrs
import pytest
import trio

from sandbox.limits import MIB
from server.verify.boxes import LIMITS
from server.verify.functions import FunctionTest, FunctionVerifier
from server.verify.verdicts import CaseResult, CaseVerdict, UnusableTestError
from tests.server.verify.conftest import Opener

SORTED = FunctionTest(
    pieces=(
        """
def check(candidate):
    assert candidate([3, 1, 2]) == [1, 2, 3]
    assert candidate([]) == []
    assert candidate([5, 5]) == [5, 5]
""",
    ),
    names=("sort",),
    check="check",
)


BY = FunctionVerifier(cpu_seconds=2.0, wall_seconds=30.0)
HASTY = attrs.evolve(BY, wall_seconds=4.0)
"""For what sleeps; only what is not to pass may be judged by it."""


async def result_of(
    opener: Opener, source: str, test: FunctionTest = SORTED, by: FunctionVerifier = BY
) -> CaseResult:
    report = await by.verify(opener, source, test)
    (result,) = report.results
    assert report.passed == (result.verdict is CaseVerdict.PASSED)
    return result


def asserting(*statements: str, prelude: str = "") -> FunctionTest:
    return FunctionTest(pieces=statements, names=("f",), prelude=prelude)


@pytest.mark.parametrize(
    "source",
    [
        "def sort(xs): return sorted(xs)",
        "sort = sorted",
        "class Solution:\n    def sort(self, xs): return sorted(xs)",
        "from __future__ import annotations\ndef sort(xs: Undefined) -> Missing: return sorted(xs)",
        "import sys\ndef sort(xs):\n    print('{}', file=sys.stderr)\n    print(1)\n    return sorted(xs)",
        "import dataclasses as d\n@d.dataclass\nclass B:\n    x: list\ndef sort(x): return sorted(B(x).x)",
        "def sort(xs): return sorted(xs)\nif __name__ == '__main__':\n    sort(input())",
    ],
)
async def test_a_right_solution_passes_in_whatever_form(opener: Opener, source: str) -> None:
    assert await result_of(opener, source) == CaseResult(verdict=CaseVerdict.PASSED)


CHEATS = {
    "nothing": "",
    "returns None": "def sort(xs): return None",
    "exits before the asserts": "import sys\ndef sort(xs): sys.exit(0)",
    "exits when it is loaded": "import sys\nsys.exit(0)",
    "exits hard": "import os\ndef sort(xs): os._exit(0)",
    "exits hard when it is loaded": "import os\nos._exit(0)",
    "raises SkipTest": "import unittest\ndef sort(xs): raise unittest.SkipTest('no')",
    "raises StopIteration": "def sort(xs): raise StopIteration",
    "is equal to everything": """
class AlwaysEqual:
    def __eq__(self, other): return True
    __ne__ = lambda self, other: False
    __hash__ = None
def sort(xs): return AlwaysEqual()
""",
    "is a list equal to everything": """
class AlwaysEqual(list):
    def __eq__(self, other): return True
    __ne__ = lambda self, other: False
def sort(xs): return AlwaysEqual()
""",
    "is a list that shows what it has not": """
class Shown(list):
    def __iter__(self): return iter(sorted([3, 1, 2]))
    def __len__(self): return 3
    def __eq__(self, other): return True
def sort(xs): return Shown()
""",
    "walks up the stack": """
import sys
def sort(xs):
    frame = sys._getframe()
    while frame:
        for value in list(frame.f_locals.values()) + [frame.f_code.co_consts]:
            if "[1, 2, 3]" in repr(value) or (1, 2, 3) == value:
                return [1, 2, 3]
        frame = frame.f_back
""",
    "patches the builtins": """
import builtins
builtins.sorted = builtins.all = builtins.any = lambda *a, **k: True
builtins.AssertionError = type("Never", (Exception,), {})
def sort(xs): return xs
""",
    "patches the far side": """
import json, sys
from tools import plain, judging_candidate, judging_test
plain.encode = lambda value: ["l", 1, 2, 3]
plain.dumps = lambda value: "passed"
judging_test._Run._run_test = lambda self: None
judging_candidate.call_candidate = lambda *a: {"done": {"passed": True, "calls": 3}}
def sort(xs): return xs
""",
    "forges an answer of the judge's": """
import os
from sandbox import frames
def sort(xs):
    done = {"passed": True, "calls": 9, "failure": None, "error": None}
    for fd in range(3, 10):
        try:
            reply = {"id": 2, "outcome": "ok", "value": {"done": done, "kind": "done"}, "error": None}
            os.write(fd, frames.encode(reply, 1 << 20))
        except OSError:
            pass
    return xs
""",
    "empties the expected value by mutation": "def sort(xs):\n    xs.clear()\n    return xs",
    "returns a generator": "def sort(xs): yield from sorted(xs)",
    "returns what is too deep": "def sort(xs):\n    for _ in range(100_000): xs = [xs]\n    return xs",
    "returns what contains itself": "def sort(xs):\n    xs.append(xs)\n    return xs",
    "returns a lie in its encoding": "def sort(xs): return ['l', 1, 2, 3]",
    "never answers": "import time\ndef sort(xs): time.sleep(60)",
    "never loads": "while True: pass",
}


@pytest.mark.parametrize("source", CHEATS.values(), ids=CHEATS.keys())
async def test_a_cheat_scores_nothing(opener: Opener, source: str) -> None:
    result = await result_of(opener, source, by=HASTY)
    assert result.verdict is not CaseVerdict.PASSED


async def test_what_went_wrong_is_told_apart(opener: Opener) -> None:
    sleeping = "import time\ndef sort(xs): time.sleep(60)"
    small = attrs.evolve(BY, limits=attrs.evolve(LIMITS, memory_bytes=96 * MIB))  # and so quickly filled
    sources = {
        "def sort(xs): return xs": CaseVerdict.WRONG_ANSWER,
        "def sort(xs): return 1 / 0": CaseVerdict.ERROR,
        "def sort(xs): return object()": CaseVerdict.ERROR,
        "sort(": CaseVerdict.ERROR,
        sleeping: CaseVerdict.TIMEOUT,
        "def sort(xs):\n    xs = []\n    while True: xs.append(b'x' * 1_000_000)": CaseVerdict.OUT_OF_MEMORY,
    }
    assert sources == {
        source: (await result_of(opener, source, by=HASTY if source == sleeping else small)).verdict
        for source in sources
    }


async def test_a_test_sees_changed_arguments_as_in_one_process(opener: Opener) -> None:
    source = """
def f(xs, table, seen, *, deep):
    xs.sort(); xs.append(9); table["k"].append(1); seen.add(7); deep[0][1].append("in"); del table["gone"]
"""
    test = asserting(
        """
xs, inner, seen, innermost = [2, 1], [], {1}, []
table, deep = {"k": inner, "gone": 0}, ([0, innermost],)
alias = xs
f(xs, table, seen, deep=deep)
assert alias is xs and xs == [1, 2, 9]
assert inner == [1] and table == {"k": [1]} and table["k"] is inner
assert seen == {1, 7} and innermost == ["in"]
"""
    )
    assert (await result_of(opener, source, test)).verdict is CaseVerdict.PASSED


async def test_a_test_sees_types_and_exceptions(opener: Opener) -> None:
    source = """
def f(kind):
    if kind == "raise": raise ValueError("bad")
    if kind == "key": raise KeyError("k")
    return {"tuple": (1, [2]), "set": {1}, "keys": {1: 2, (3,): 4}, "bytes": b"x", "nan": float("nan"),
            "inf": -float("inf"), "true": True, "one": 1, "none": None, "big": 10**5000, "lone":
            "\\ud800"}[kind]
"""
    test = asserting(
        "assert f('tuple') == (1, [2]) and f('tuple') != [1, [2]]",
        "assert f('set') == {1} and f('keys') == {1: 2, (3,): 4} and f('bytes') == b'x'",
        "assert f('nan') != f('nan') and f('inf') == float('-inf') and f('big') == 10 ** 5000",
        "assert f('true') is True and type(f('one')) is int and f('none') is None",
        "assert f(kind='lone') == '\\ud800'",
        """
try:
    f("raise")
except ValueError as error:
    assert str(error) == "bad"
else:
    raise AssertionError
try:
    f("nothing of the kind")
except KeyError:
    pass
""",
    )
    assert await result_of(opener, source, test) == CaseResult(verdict=CaseVerdict.PASSED)


async def test_an_exception_cannot_end_a_loop_of_the_test(opener: Opener) -> None:
    test = asserting("for got, want in zip(map(f, [1, 2]), [1, 2]): assert got == want")
    result = await result_of(opener, "def f(x): raise StopIteration", test)
    assert result.verdict is CaseVerdict.ERROR


async def test_helpers_come_from_the_data_set_and_not_from_the_candidate(opener: Opener) -> None:
    test = asserting("assert helper(f(2)) == 4", prelude="def helper(x): return x * 2")
    cheat = "def f(x): return 0\ndef helper(x): return 4"
    assert (await result_of(opener, cheat, test)).verdict is CaseVerdict.WRONG_ANSWER
    assert (await result_of(opener, "def f(x): return x", test)).verdict is CaseVerdict.PASSED


@pytest.mark.parametrize(
    "test",
    [
        asserting("assert True"),
        asserting("assert ("),
        asserting("f(object())"),
        asserting("try:\n    f(lambda: 1)\nexcept BaseException:\n    f(1)"),
        FunctionTest(pieces=("f(1)",), names=("f",), check="check"),
    ],
)
async def test_a_test_that_cannot_be_used_gives_no_verdict(opener: Opener, test: FunctionTest) -> None:
    with pytest.raises(UnusableTestError):
        await FunctionVerifier().verify(opener, "def f(x): return x", test)


async def test_a_candidate_cannot_make_a_test_unusable(opener: Opener) -> None:
    deep = "def f(x):\n    for _ in range(199): x = [x]\n    return x"
    result = await result_of(opener, deep, asserting("assert f([[f(1)]]) == 1"))
    assert result.verdict is CaseVerdict.ERROR


@pytest.mark.parametrize("end", ["raise SystemExit(0)", "import os; os._exit(0)", "raise KeyboardInterrupt"])
async def test_a_test_that_leaves_early_has_not_passed(opener: Opener, end: str) -> None:
    result = await result_of(opener, "def f(x): return x", asserting("f(1)", end, "assert False"))
    assert result.verdict is CaseVerdict.ERROR


async def test_calls_and_time_are_bounded(opener: Opener) -> None:
    endless = asserting("while True: f(1)")
    few = FunctionVerifier(max_calls=10)
    report = await few.verify(opener, "def f(x): return x", endless)
    assert ["more than 10 calls"] == [result.detail for result in report.results]
    with trio.fail_after(20):
        report = await FunctionVerifier(total_seconds=0.3).verify(opener, "def f(x): return x", endless)
    assert [CaseVerdict.TIMEOUT] == [result.verdict for result in report.results]


LEET = FunctionTest(
    pieces=("def check(candidate):\n    assert candidate(n=2) == 3\n    assert candidate(0) == 1",),
    names=("Solution().plus_one",),
    check="check",
)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("class Solution:\n    def plus_one(self, n): return n + 1", CaseVerdict.PASSED),
        ("class Solution:\n    def plus_one(self, n): return n", CaseVerdict.WRONG_ANSWER),
        (
            "class Solution:\n    def __getattr__(self, name): return lambda *a, **k: None",
            CaseVerdict.ERROR,
        ),
        ("", CaseVerdict.ERROR),
        ("import os\nclass Solution:\n    def __init__(self): os._exit(0)", CaseVerdict.ERROR),
    ],
)
async def test_a_test_may_name_a_method_of_solution(
    opener: Opener, source: str, expected: CaseVerdict
) -> None:
    assert expected == (await result_of(opener, source, LEET)).verdict


async def test_a_test_may_make_instances_of_solution_itself(opener: Opener) -> None:
    test = FunctionTest(
        pieces=("assert Solution(3).up() == 4", "s = Solution(1)", "assert [s.up(), s.up()] == [2, 3]"),
        names=("Solution",),
    )
    source = """
class Solution:
    def __init__(self, n): self.n = n
    def up(self):
        self.n += 1
        return self.n
"""
    assert await result_of(opener, source, test) == CaseResult(verdict=CaseVerdict.PASSED)


async def test_processor_time_is_what_a_call_is_bounded_by(opener: Opener) -> None:
    patient = FunctionVerifier(cpu_seconds=0.5, wall_seconds=60.0)
    report = await patient.verify(opener, "def sort(xs):\n    while True: pass", SORTED)
    assert ["timeout"] == [result.verdict for result in report.results]
    report = await patient.verify(
        opener, "import time\ndef sort(xs):\n    time.sleep(1)\n    return sorted(xs)", SORTED
    )
    assert report.passed


SLOW = """
import os, signal, time
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass
"""


@pytest.mark.parametrize(
    "body",
    [
        "signal.setitimer(signal.ITIMER_PROF, 0); burn(2.6)",
        "signal.signal(signal.SIGPROF, signal.SIG_IGN); burn(2.6)",
        "for _ in range(3): os.fork() or (burn(1.0), os._exit(0)); os.wait()",
    ],
    ids=["stops the timer", "ignores it", "in children"],
)
async def test_a_slow_solution_is_out_of_time_whatever_it_does_to_the_clock(
    opener: Opener, body: str
) -> None:
    source = f"{SLOW}\ndef sort(xs):\n    {body}\n    return sorted(xs)"
    report = await FunctionVerifier(cpu_seconds=2.0, wall_seconds=20.0).verify(opener, source, SORTED)
    assert [CaseVerdict.TIMEOUT] == [result.verdict for result in report.results]
