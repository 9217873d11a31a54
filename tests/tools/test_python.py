"""Cells of Python as a model writes them: results, tracebacks, interrupts, and what a cell breaks."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.tools.lanes import ROOT, Lane, Seen, open_lane
from tools.cell import RESULT_BYTES
from tools.python import python

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(name="lane")
def _lane(tmp_path: Path) -> Iterator[Lane]:
    with open_lane("tools.python:python", tmp_path) as lane:
        yield lane


def seen(result: str | None = None, stdout: str = "") -> Seen:
    return Seen({"result": result}, None, stdout, "")


def last_line(lane: Lane, code: str) -> str:
    """Run a cell that must fail, and return the last line of its traceback."""
    got = lane.call(code=code)
    assert {"result": None} == got.value
    assert got.error is not None
    return got.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("code", "result", "stdout"),
    [
        ("1 + 1", "2", ""),
        ("x = 3", None, ""),
        ("x = 3\nx", "3", ""),
        ("print('p'); 'r'", "'r'", "p\n"),
        ("print('p')", None, "p\n"),
        ("None", None, ""),
        ("", None, ""),
        ("# nothing", None, ""),
        ("5;", "5", ""),
        ("for i in range(2):\n    i", None, ""),
        ("'é\\ud800'", r"'é\ud800'", ""),
        ("class R:\n    def __repr__(self): return '\\ud800'\nR()", r"\ud800", ""),
    ],
)
def test_the_last_expression_is_the_result(lane: Lane, code: str, result: str | None, stdout: str) -> None:
    assert seen(result, stdout) == lane.call(code=code)


def test_variables_functions_and_imports_last(lane: Lane) -> None:
    lane.call(code="import math\nn = 4\ndef f(x): return math.sqrt(x) + n")

    assert seen("7.0") == lane.call(code="f(9)")


def test_a_traceback_shows_the_cells_own_frames_with_their_source(lane: Lane) -> None:
    lane.call(code="def half(x):\n    return x / zero\n")
    got = lane.call(code="zero = 0\n\nhalf(\n    1)")

    lines = [line for line in got.stderr.splitlines() if set(line) - set(" ~^")]
    assert [
        "Traceback (most recent call last):",
        '  File "<cell 2>", line 3, in <module>',
        "    half(",
    ] == lines[:3]
    assert [
        '  File "<cell 1>", line 2, in half',
        "    return x / zero",
        "ZeroDivisionError: division by zero",
    ] == lines[-3:]
    assert "tools" not in got.stderr
    assert {"result": None} == got.value


def test_a_traceback_goes_on_into_libraries_and_shows_its_causes(lane: Lane) -> None:
    got = lane.call(
        code="import json\ntry:\n    json.loads('{')\nexcept ValueError as e:\n    raise KeyError('k') from e"
    )

    assert "json/decoder.py" in got.stderr
    assert "The above exception was the direct cause" in got.stderr
    assert got.stderr.endswith("KeyError: 'k'\n")


def test_a_syntax_error_is_shown_without_a_traceback(lane: Lane) -> None:
    got = lane.call(code="ok = 1\nx = = 2")

    assert '  File "<cell 1>", line 2\n    x = = 2\n        ^\nSyntaxError: invalid syntax\n' == got.stderr
    assert "NameError: name 'ok' is not defined" == last_line(lane, "ok").partition(". Did")[0]


def test_the_same_cells_give_the_same_bytes(lane: Lane, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    cells = [
        "x = {1, 'a'}",
        "x",
        "1/0",
        "def f(): f()\nf()",
        "raise ExceptionGroup('g', [ValueError(1)])",
        "é = (",
    ]
    with open_lane("tools.python:python", tmp_path / "other") as other:
        assert [lane.call(code=each) for each in cells] == [other.call(code=each) for each in cells]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise SystemExit", "SystemExit"),
        ("exit()", "SystemExit: None"),
        ("input()", "EOFError: EOF when reading a line"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("x = []\nfor _ in range(100000): x = [x]\nx", "depth exceeded while getting the repr of an object"),
        ("class R:\n    def __repr__(self): raise ValueError('no')\nR()", "ValueError: no"),
        ("class R:\n    def __repr__(self): return 5\nR()", "__repr__ returned non-string (type int)"),
        ("class E(Exception):\n    def __str__(self): 1/0\nraise E", "E: <exception str() failed>"),
        ("raise ValueError('\\ud800')", r"ValueError: \ud800"),
        ("'\0'", "source code string cannot contain null bytes"),
        ("'\ud800'", "in position 1: surrogates not allowed"),
        ("yield 1", "SyntaxError: 'yield' outside function"),
        ("10 ** 5000", "use sys.set_int_max_str_digits() to increase the limit"),
    ],
)  # fmt: skip
def test_whatever_a_cell_raises_is_its_outcome_and_the_next_one_goes_on(
    lane: Lane, code: str, error: str
) -> None:
    lane.call(code="kept = 1")

    assert last_line(lane, code).endswith(error)
    assert seen("1", "p\n") == lane.call(code="print('p')\nkept")
    assert "EOFError: EOF when reading a line" == last_line(lane, "input()")


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.stdout.close()",
        "import sys; sys.stdout = sys.stderr = None",
        "import sys, io; sys.stdout = io.StringIO(); sys.stderr = 5",
        "import sys; del sys.stdout, sys.stderr, sys.stdin",
        "import sys; sys.stdout = sys.stderr = sys.stdin = 5",
        "import sys; del sys.modules['__main__']",
        "globals().clear()",
        "del __name__, __builtins__",
        "import linecache; linecache.clearcache(); linecache.checkcache()",
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)",
        "import os; os.chdir('/')",
        "import sys; sys.argv = None; sys.path.clear(); sys.path.append('')",
        "repr = str = print = len = None",
    ],
)
def test_what_a_cell_breaks_is_put_right_for_the_next(lane: Lane, code: str) -> None:
    lane.call(code=code)

    assert seen("'__main__'", "p\n") == lane.call(code="import builtins\nbuiltins.print('p')\n__name__")
    assert "ZeroDivisionError: division by zero" == last_line(lane, "1/0")
    got = lane.call(code="while True: pass", seconds=0.2)
    assert got.stderr.endswith("KeyboardInterrupt\n")


def test_a_cell_that_replaces_stdout_has_it_for_itself(lane: Lane) -> None:
    code = "import io, sys\nsys.stdout = s = io.StringIO()\nprint('hidden')"
    assert seen() == lane.call(code=code)

    assert seen("'hidden\\n'") == lane.call(code="s.getvalue()")


def test_the_deadline_interrupts_the_cell_and_keeps_the_namespace(lane: Lane) -> None:
    code = "n = 1\nprint('begun')\nopen('begun', 'w').close()\nwhile True:\n    n += 1"
    got = lane.call(code=code, seconds=0.3, after="begun")

    assert {"result": None} == got.value
    assert "begun\n" == got.stdout
    assert got.stderr.endswith("KeyboardInterrupt\n")
    assert seen("True") == lane.call(code="n > 0")


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(30)",
        "import asyncio\nawait asyncio.sleep(30)",
        "class R:\n    def __repr__(self):\n        while True: pass\nR()",
        "import os; os.read(os.pipe()[0], 1)",
        pytest.param("import subprocess; subprocess.run(['sleep', '30'])", marks=pytest.mark.orphans),
    ],
)
def test_the_deadline_interrupts_what_waits(lane: Lane, code: str) -> None:
    assert {"result": None} == lane.call(code=code, seconds=0.3).value
    assert seen("2") == lane.call(code="1 + 1")


def test_a_cell_may_see_the_interrupt_and_end_well(lane: Lane) -> None:
    code = (
        "import time\ntry:\n    open('begun', 'w').close()\n    time.sleep(30)\n"
        "except KeyboardInterrupt:\n    pass\n'tidy'"
    )

    assert seen("'tidy'") == lane.call(code=code, seconds=0.3, after="begun")


def test_a_huge_result_is_cut_in_the_middle_and_says_so(lane: Lane) -> None:
    result = lane.call(code="'é' * 100_000").value["result"]

    assert result.startswith("'éé")
    assert result.endswith("éé'")
    assert "\n[... 134468 bytes cut ...]\n" in result
    assert RESULT_BYTES >= len(result.encode()) - 40
    assert seen(repr("x" * (RESULT_BYTES - 2))) == lane.call(code=f"'x' * {RESULT_BYTES - 2}")


def test_the_namespace_is_a_real_main_module(lane: Lane) -> None:
    lane.call(
        code="import dataclasses, pickle, sys\n"
        "@dataclasses.dataclass\nclass P:\n    x: int\n"
        "def f(x): return x * x\n"
        "assert __name__ == '__main__' and sys.modules['__main__'].P is P"
    )

    assert seen("P(x=3)") == lane.call(code="pickle.loads(pickle.dumps(P(3)))")
    assert seen("[0, 1, 4]") == lane.call(
        code="import multiprocessing\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool: r = pool.map(f, range(3))\n"
        "r"
    )
    assert seen("'def f(x): return x * x\\n'") == lane.call(code="import inspect\ninspect.getsource(f)")


def test_nothing_but_the_usual_names_is_in_the_namespace(lane: Lane) -> None:
    usual = ["__builtins__", "__doc__", "__loader__", "__name__", "__package__", "__spec__"]

    assert seen(repr(usual)) == lane.call(code="sorted(globals())")
    assert seen("True") == lane.call(code="locals() is globals()")
    assert seen("['']") == lane.call(code="import sys\nsys.argv")


def test_a_file_written_just_now_can_be_imported_and_leaves_no_cache(lane: Lane) -> None:
    assert "ModuleNotFoundError: No module named 'fresh'" == last_line(lane, "import fresh")
    (lane.directory / "fresh.py").write_text("value = 1\n")
    assert seen("1") == lane.call(code="import fresh\nfresh.value")
    (lane.directory / "fresh.py").write_text("value = 2\n")

    assert seen("2") == lane.call(code="import importlib\nimportlib.reload(fresh).value")
    assert ["fresh.py"] == [each.name for each in lane.directory.iterdir()]


def test_the_first_cell_imports_nothing() -> None:
    """What the zygote has imported once must not be imported again in each session."""
    code = (
        f"import sys; sys.path.append({str(ROOT)!r})\n"
        "import tools.python\n"
        "before = set(sys.modules)\n"
        "assert {'result': '1'} == tools.python.python({}, code='1')\n"
        "assert set() == set(sys.modules) - before, set(sys.modules) - before\n"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


def test_future_statements_hold_for_later_cells(lane: Lane) -> None:
    lane.call(code="from __future__ import annotations")

    assert seen("{'a': 'nonesuch'}") == lane.call(code="def f(a: nonesuch): pass\nf.__annotations__")


def test_await_works_at_the_top_level(lane: Lane) -> None:
    lane.call(code="import asyncio\nasync def f(): return 5")

    assert seen("5") == lane.call(code="await asyncio.sleep(0)\nx = await f()\nx")
    assert seen("5") == lane.call(code="await f()")


def test_a_forked_child_that_runs_out_of_the_cell_ends_there(lane: Lane) -> None:
    code = (
        "import os, sys\n"
        "pid = os.fork()\n"
        "if pid == 0:\n    {}\n"
        "else:\n    status = os.waitpid(pid, 0)[1] >> 8\n"
    )

    assert seen("0", "child\n") == lane.call(code=code.format("print('child')") + "status if pid else None")
    assert seen("7") == lane.call(code=code.format("sys.exit(7)") + "status")
    got = lane.call(code=code.format("1/0") + "status")
    assert "1" == got.value["result"]
    assert got.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_the_model_is_told_what_the_tool_takes() -> None:
    assert ["code"] == python.schema()["required"]
    assert {"result": None} == python.empty
    assert ("python", True) == (python.lane, python.streams)
