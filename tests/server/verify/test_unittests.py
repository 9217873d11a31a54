"""Unittest classes in the candidate's own process: what passes, what fails, and cheats that know of it."""

from __future__ import annotations

import pytest

from server.verify.unittests import UnittestSuite, UnittestVerifier
from server.verify.verdicts import CaseResult, CaseVerdict, Report, UnusableTestError
from tests.server.verify.conftest import Opener

TEST = """
import unittest
from unittest.mock import patch

SECRET = "a-very-particular-answer"

class Base(unittest.TestCase):
    def test_doubles(self):
        self.assertEqual(double(2), 4)
        self.assertAlmostEqual(double(0.5), 1.0)

class TestCases(Base):
    @classmethod
    def setUpClass(cls):
        cls.ready = True

    def test_mocked(self):
        with patch("builtins.print") as printed:
            self.assertEqual(double("ab"), "abab")
        printed.assert_not_called()
        self.assertTrue(self.ready)

    def test_refuses(self):
        with self.assertRaises(TypeError):
            double(None)
        self.assertNotEqual(double(1), SECRET)
"""
SUITE = UnittestSuite.read(TEST, "double")
BY = UnittestVerifier(cpu_seconds=2)
RIGHT = "def double(x): return x * 2"


async def report_on(opener: Opener, source: str, suite: UnittestSuite = SUITE) -> Report:
    return await BY.verify(opener, source, suite)


def test_the_tests_are_known_without_running_them() -> None:
    inherited = ("Base.test_doubles", "TestCases.test_doubles")
    assert (*inherited, "TestCases.test_mocked", "TestCases.test_refuses") == SUITE.names
    assert SUITE.imports == ("unittest", "unittest.mock")


async def test_a_right_solution_passes_and_the_mode_is_told(opener: Opener) -> None:
    report = await report_on(opener, RIGHT)
    assert (True, 4, "in_process") == (report.passed, len(report.results), report.mode)
    assert list(SUITE.names) == [result.name for result in report.results]


@pytest.mark.parametrize(
    "source",
    [
        "import functools\n@functools.lru_cache\ndef double(x): return x * 2",
        """
import collections, dataclasses, warnings
P = collections.namedtuple('P', 'x')
warnings.warn('x')
@dataclasses.dataclass
class B:
    x: object
def double(x): return P(B(x)).x.x * 2
""",
        "sum = 7\ndef double(x): return x * 2",
        """
import inspect, logging
def double(x):
    logging.getLogger('a').info('b')
    inspect.signature(double)
    return x * 2
""",
        """
import traceback
def double(x):
    try: 1 / 0
    except ZeroDivisionError as error:
        assert "ZeroDivisionError" in traceback.format_exc()
        traceback.extract_tb(error.__traceback__)
        traceback.format_stack()
    return x * 2
""",
    ],
)
async def test_an_honest_solution_may_use_its_libraries(opener: Opener, source: str) -> None:
    assert (await report_on(opener, source)).passed


USE = """
import os
def use(frame):
    while frame is not None:
        mine = frame.f_locals
        if "word" in mine and "writing" in mine:
            os.write(mine["writing"], f"{mine['word']}\\npassed\\n".encode())
            os._exit(0)
        frame = frame.f_back
"""

CHEATS = {
    "nothing": "",
    "returns None": "def double(x): return None",
    "exits hard": "import os\ndef double(x): os._exit(0)",
    "exits": "import sys\ndef double(x): sys.exit(0)",
    "exits hard when it is loaded": "import os\nos._exit(0)",
    "skips": "import unittest\ndef double(x): raise unittest.SkipTest('no')",
    "skips the class": "import unittest\ndef setUpModule(): raise unittest.SkipTest('no')\ndouble = len",
    "is equal to everything": """
class A:
    def __eq__(self, other): return True
    __ne__ = lambda self, other: isinstance(other, str)
    __sub__ = __rsub__ = lambda self, other: 0
    def __round__(self, n=0): return 0
    __hash__ = None
def double(x):
    if x is None: raise TypeError
    return A()
""",
    "hides it in a list": """
class A(str):
    def __eq__(self, other): return True
    __hash__ = str.__hash__
def double(x):
    if x is None: raise TypeError
    return [A()] if x == 'ab' else x * 2
""",
    "patches assertEqual": f"""
import unittest
unittest.TestCase.assertEqual = unittest.TestCase.assertAlmostEqual = lambda *a: None
{RIGHT.replace("2", "3")}
""",
    "patches the result": f"""
import unittest.case, unittest.result
unittest.result.TestResult.addFailure = lambda *a: None
{RIGHT.replace("2", "3")}
""",
    "patches run when it is called": """
import unittest
def double(x):
    unittest.case._Outcome.testPartExecutor = lambda *a, **k: __import__('contextlib').nullcontext()
    return 7
""",
    "patches a builtin": "import builtins\nbuiltins.AssertionError = SystemExit\ndef double(x): return 7",
    "hides builtins": "AssertionError = isinstance = len = lambda *a: True\ndef double(x): return 7",
    "walks the stack": """
import sys
def double(x):
    frame = sys._getframe(1)
    while frame:
        for value in frame.f_code.co_consts: pass
        frame = frame.f_back
    return x * 2
""",
    "asks inspect for the stack": "import inspect\ndef double(x):\n    inspect.stack()\n    return x * 2",
    "takes the frame of an exception": """
def double(x):
    try: raise ValueError
    except ValueError as e: e.__traceback__.tb_frame.f_back
    return x * 2
""",
    "searches the garbage collector": "import gc\ndef double(x):\n    gc.get_objects()\n    return x * 2",
    "reads the test's code": """
import unittest
def double(x):
    for klass in unittest.TestCase.__subclasses__():
        getattr(klass.__dict__.get('test_doubles'), '__code__', None)
    return x * 2
""",
    "traces the test": "import sys\nsys.settrace(lambda *a: None)\ndef double(x): return x * 2",
    "floods every descriptor with passes": """
import json, os
for fd in range(3, 100):
    try: os.write(fd, json.dumps({'word': '', 'outcome': 'passed', 'detail': ''}).encode())
    except OSError: pass
os._exit(0)
""",
    "kills its parent": "import os\nos.kill(os.getppid(), 9)\nimport time\ntime.sleep(1)",
    "prints success": "print('OK', flush=True)\nprint({'outcome': 'passed'})\nimport os\nos._exit(0)",
    "gets the frame of logging": f"import logging\n{USE}def double(x): use(logging.currentframe())",
    "has a formatter take it": f"""
import string
{USE}
def double(x):
    try: 1 / 0
    except ZeroDivisionError as error: trace = error.__traceback__
    use(string.Formatter().get_field("0.tb_frame", [trace], {{}})[0])
""",
    "has a debugger bring it": f"""
import bdb
{USE}
class Watch(bdb.Bdb):
    def user_call(self, frame, _): use(frame)
def double(x): Watch().runcall(lambda: 7)
""",
    "asks the interpreter itself for it": f"""
import ctypes
{USE}
def double(x):
    ask = ctypes.pythonapi.PyEval_GetFrame
    ask.restype = ctypes.py_object
    use(ask())
""",
    "walks the traceback": f"""
import traceback
{USE}
def double(x):
    try: 1 / 0
    except ZeroDivisionError as error: use(next(traceback.walk_tb(error.__traceback__))[0])
""",
    "has locals written out": """
import traceback
def double(x):
    try: 1 / 0
    except ZeroDivisionError as error: traceback.TracebackException.from_exception(error, capture_locals=True)
    return x * 2
""",
    "writes the result by its own library": """
import json
class Encoder:
    def encode(self, value): return json.JSONEncoder().encode({**value, "outcome": "passed"})
json._default_encoder = Encoder()
def double(x): return 7
""",
    "lets context managers swallow failures": """
import contextlib
def leave(self, *error):
    if error[0] is not None: self.gen = None
    return True
contextlib._GeneratorContextManager.__exit__ = leave
def double(x): return 7
""",
    "replaces what runs it": """
import tools.judging_meeting, tools.judging_guard, tools.judging_unittest
tools.judging_meeting.Meeting._outcome = lambda *a: ('passed', '')
tools.judging_guard.Guard.changes = lambda *a: ''
def double(x): return 7
""",
}


@pytest.mark.parametrize("source", CHEATS.values(), ids=CHEATS)
async def test_a_cheat_scores_nothing(opener: Opener, source: str) -> None:
    report = await report_on(opener, source)
    assert not report.passed
    assert report.mode == "in_process"


CLOSE = """
import math
import unittest

class TestCases(unittest.TestCase):
    def test_close(self):
        self.assertTrue(math.isclose(double(2), 4))
"""
TOOLS = {
    "patched": "import math\nmath.isclose = lambda *a: True\ndef double(x): return 7",
    "patched when it is called": "import math\ndef double(x): math.isclose = lambda *a: True",
    "another module": (
        "import sys, types\nsys.modules['math'] = types.SimpleNamespace(isclose=max)\ndouble = len"
    ),
}


@pytest.mark.parametrize("source", TOOLS.values(), ids=TOOLS)
async def test_what_the_test_uses_stays_what_it_was(opener: Opener, source: str) -> None:
    suite = UnittestSuite.read(CLOSE, "double")
    assert (await report_on(opener, RIGHT, suite)).passed
    assert not (await report_on(opener, source, suite)).passed


async def test_how_a_test_ended_is_told(opener: Opener) -> None:
    async def last(source: str) -> CaseResult:
        return (await report_on(opener, source)).results[-1]

    assert CaseVerdict.WRONG_ANSWER == (await last("def double(x): return 7")).verdict
    assert CaseVerdict.TIMEOUT == (await last("def double(x):\n    while True: pass")).verdict
    skipped = await last("import unittest\ndef double(x): raise unittest.SkipTest('no')")
    assert (CaseVerdict.ERROR, "skipped: no") == (skipped.verdict, skipped.detail)


@pytest.mark.parametrize(
    "source",
    ["", "(", "import unittest", "class TestCases:\n    def test_a(self): pass", "def test_a(): pass"],
)
def test_a_module_without_tests_is_refused(source: str) -> None:
    with pytest.raises(UnusableTestError):
        UnittestSuite.read(source, "double")


async def test_a_test_that_imports_what_is_not_there_is_no_verdict(opener: Opener) -> None:
    suite = UnittestSuite.read("import no_such_library\n" + TEST, "double")
    with pytest.raises(UnusableTestError, match="no_such_library"):
        await report_on(opener, RIGHT, suite)


async def test_a_test_marked_as_skipped_is_no_pass(opener: Opener) -> None:
    marked = TEST.replace("    def test_refuses", "    @unittest.skip('later')\n    def test_refuses")
    assert not (await report_on(opener, RIGHT, UnittestSuite.read(marked, "double"))).passed
