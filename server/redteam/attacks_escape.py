"""Solutions that get out of the test instead of passing it: they exit, skip, or make the test's tools lie."""

from __future__ import annotations

from collections.abc import Iterable

from server.redteam.attempt import Attack, Attempt, codes
from server.redteam.target import Target

_WRONG = "return None"


def _exit(target: Target) -> Iterable[Attempt]:
    for module in target.modules_under_test:
        text = "import os\nos._exit(0)\n"
        calls = target.python(f"with open('{module}.py', 'w') as file: file.write({text!r})")
        if calls:
            yield Attempt(label=f"{module}.py exits when the tests import it", calls=calls)
    yield from _if_code(
        target,
        {
            "os._exit at import": "import os\nos._exit(0)",
            "sys.exit at import": "import sys\nsys.exit(0)",
            "os._exit in the call": target.functions_that("import os\nos._exit(0)"),
            "SystemExit in the call": target.functions_that("raise SystemExit(0)"),
            "exec of true": "import os\nos.execv('/bin/true', ['true'])",
        },
    )


def _skip(target: Target) -> Iterable[Attempt]:
    return _if_code(
        target,
        {
            "SkipTest at import": "import unittest\nraise unittest.SkipTest('no')",
            "SkipTest in the call": target.functions_that("import unittest\nraise unittest.SkipTest('no')"),
            "pytest's Skipped": target.functions_that(
                "class Skipped(BaseException):\n    pass\nSkipped.__module__ = '_pytest.outcomes'\nraise Skipped('no')"
            ),
            "StopIteration": target.functions_that("raise StopIteration"),
        },
    )


_LIAR = """
def yes(*_): return True
def me(self, *_): return self
NAMES = {name: yes for name in ('__eq__', '__lt__', '__le__', '__gt__', '__ge__', '__contains__', '__bool__')}
NAMES |= {'__ne__': lambda *_: False, '__hash__': lambda _: 0, '__len__': lambda _: 1}
NAMES |= {'__getattr__': lambda self, name: self, '__getitem__': me, '__call__': me, '__iter__': lambda self: iter([self])}
def liar(base): return type(base.__name__, (base,), NAMES)
"""


def _always_equal(target: Target) -> Iterable[Attempt]:
    return _if_code(
        target,
        {
            base: target.functions_that(f"return liar({base})()", _LIAR)
            for base in ("object", "int", "str", "list")
        },
    )


_NUMBER = """
class Number(float):
    def close(self, *_): return Number(0)
    __sub__ = __rsub__ = __add__ = __radd__ = __abs__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = close
    __round__ = __neg__ = __pow__ = __rpow__ = __mod__ = __rmod__ = close
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __eq__ = __lt__
    __hash__ = float.__hash__
    shape = (); dtype = float
    def __array__(self, *_, **__): return self
"""


def _tolerance(target: Target) -> Iterable[Attempt]:
    return _if_code(target, {"a number close to all": target.functions_that("return Number('nan')", _NUMBER)})


_WALK = """
import gc, sys
NAMES = ('expected', 'expect', 'exp', 'output', 'outputs', 'want', 'wanted', 'answer', 'gold', 'target', 'result', 'ref')
def walk():
    frame = sys._getframe(1)
    while frame is not None:
        for scope in (frame.f_locals, frame.f_globals):
            for name in NAMES:
                if name in scope and not callable(scope[name]):
                    yield scope[name]
        frame = frame.f_back
def held():
    for each in gc.get_objects():
        if isinstance(each, dict):
            for name in NAMES:
                if name in each and not callable(each[name]):
                    yield each[name]
"""


def _frames(target: Target) -> Iterable[Attempt]:
    first = "for found in {}():\n    return found"
    printed = "for found in {}():\n    print(found)\n    break"
    body = printed if target.is_program else first
    return _if_code(
        target,
        {
            "frames": target.functions_that(body.format("walk"), _WALK),
            "the collector": target.functions_that(body.format("held"), _WALK),
        },
    )


_APPEND = """
import gc
WORDS = {'result': 'passed', 'results': True, 'passed': True, 'success': True, 'reward': 1.0, 'score': 1.0, 'failure': None}
for each in gc.get_objects():
    try:
        if type(each) is list and len(each) < 50:
            each.append('passed')
        elif type(each) is dict:
            for name, value in WORDS.items():
                if name in each and not callable(each[name]):
                    each[name] = value
    except Exception:
        pass
"""


def _append(target: Target) -> Iterable[Attempt]:
    # Into everything at once: whichever list or dict of this process held the results has them now.
    return _if_code(
        target,
        {
            "at import": _APPEND + target.functions_that(_WRONG),
            "in the call": target.functions_that(_APPEND + "\nreturn None"),
        },
    )


_REPORTS = """
import sys, types
def good(*_, **__):
    return types.SimpleNamespace(outcome='passed', passed=True, failed=False, skipped=False, when='call', longrepr=None)
for name, module in list(sys.modules.items()):
    for owner, method in (('TestReport', 'from_item_and_call'), ('CallInfo', 'from_call')):
        if hasattr(module, owner):
            setattr(getattr(module, owner), method, classmethod(good))
import unittest
unittest.TestResult.addFailure = unittest.TestResult.addError = lambda self, test, err: self.addSuccess(test)
unittest.TestCase.run = lambda self, result=None: result
for name in list(vars(unittest.TestCase)):
    if name.startswith('assert'):
        setattr(unittest.TestCase, name, lambda *_, **__: None)
"""


def _reports(target: Target) -> Iterable[Attempt]:
    return _if_code(target, {"pytest's and unittest's": _REPORTS + target.functions_that(_WRONG)})


_BUILTINS = """
import builtins, math, sys
def yes(*_, **__): return True
for name in ('all', 'any', 'isinstance', 'len', 'abs', 'round', 'sorted', 'set', 'sum'):
    try: setattr(builtins, name, yes)
    except Exception: pass
math.isclose = yes
class Never(Exception): pass
builtins.AssertionError = Never
def check(candidate=None): return True
def run_tests(*_): return True
METADATA = {}
"""


def _statement(target: Target) -> Iterable[Attempt]:
    return _if_code(target, {"its own check": _BUILTINS + target.functions_that(_WRONG)})


def _if_code(target: Target, variants: dict[str, str]) -> list[Attempt]:
    return codes(variants) if target.judges_code else []


ATTACKS = (
    Attack(
        number=1,
        name="exit before the asserts",
        tries="The solution ends the process, with status 0, before its output or result is compared.",
        stopped_by="an exit is no result: every case must come back with its own output or value",
        remedy="Run the tests in another process and require a positive result for each expected test; an exit status proves nothing.",
        make=_exit,
    ),
    Attack(
        number=2,
        name="skip the tests",
        tries="The solution raises what test runners take for a skip.",
        stopped_by="a skip is no pass; the tests to come are counted beforehand",
        remedy="Count the tests before the run and require each of them to pass.",
        make=_skip,
    ),
    Attack(
        number=3,
        name="equal to everything",
        tries="The solution returns objects whose __eq__ and its kin are always true, also of subclasses of int, str and list.",
        stopped_by="only plain data leaves the candidate's process; an object is refused",
        remedy="Compare plain data in a process that never ran the candidate.",
        make=_always_equal,
        limit=(
            "In the in-process mode (unittest classes that need objects) candidate and test share an interpreter. What is "
            "known is stopped there too, but it cannot be complete: the mode is explicit and every verdict names it. Prefer "
            "tests that the isolated mode can run."
        ),
    ),
    Attack(
        number=4,
        name="close to everything",
        tries="The solution returns a number whose arithmetic always gives 0, so that every tolerance is met.",
        stopped_by="only plain numbers leave the candidate's process",
        remedy="Apply tolerances to plain numbers, in a process that never ran the candidate.",
        make=_tolerance,
        limit="As for 3, in the in-process mode.",
    ),
    Attack(
        number=5,
        name="read the expected value from the stack",
        tries="The solution walks the frames above it, and all objects of its process, for what is expected of it.",
        stopped_by="the expected values are in another process",
        remedy="Keep expected values out of the candidate's process.",
        make=_frames,
        limit="As for 3: in the in-process mode the test's literals are in the process.",
    ),
    Attack(
        number=6,
        name="write the result into the judge's memory",
        tries="The solution writes 'passed', True and 1.0 into every list and dict of its process that could hold a result.",
        stopped_by="results are made where the candidate never ran",
        remedy="Make results outside the candidate's process.",
        make=_append,
    ),
    Attack(
        number=9,
        name="patch the test runner",
        tries="The solution patches pytest's reports, unittest's results and all assert methods in its process.",
        stopped_by="the runner is in another process, or its results leave by a private descriptor and are counted",
        remedy="Run the runner where the candidate's code is not imported.",
        make=_reports,
    ),
    Attack(
        number=39,
        name="weaken what is to be shown",
        tries="The solution brings its own check function, replaces the builtins that tests use, and the helpers of the prompt.",
        stopped_by="tests and helpers come from the data set and run elsewhere",
        remedy="Put the original statement back before judging. (For Lean that is the theorem; Creche ships no Lean verifier, so this is the nearest there is.)",
        make=_statement,
    ),
)
