from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.tools.lanes import ROOT
from tests.tools.source_cases import HEAD, REFUSED, TRAVELS
from tests.tools.test_literals import same, values
from tests.tools.user_modules import load
from tools import Tool, ToolError, tool
from tools.literals import literal
from tools.source import source_of

if TYPE_CHECKING:
    from pathlib import Path


def define(source: str) -> Any:
    """Run shipped source as the far side does: in a module of its own, with nothing else in it."""
    module = types.ModuleType("shipped_source")
    sys.modules[module.__name__] = module  # dataclasses look their module up
    exec(compile(source, "<shipped>", "exec"), module.__dict__)
    return module


def ship(directory: Path, source: str) -> Any:
    """Load `source` as a user's module, ship its tool ``t``, and return the module that comes out."""
    return define(source_of([load(directory, HEAD + source).t]))


def refusal(directory: Path, source: str) -> str:
    with pytest.raises(ToolError) as caught:
        source_of([load(directory, HEAD + source).t])
    message = str(caught.value)
    assert message.startswith("tool 't' ")
    assert "Remedy: " in message
    return message.partition(": it cannot")[0]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(value=values)
def test_a_constant_is_the_same_inside(tmp_path: Path, value: Any) -> None:
    shipped = ship(tmp_path, f"X = {literal(value)}\n@tool\ndef t(state):\n    return X\n")

    assert same(value, shipped.t({}))


def test_what_a_function_needs_travels_and_nothing_else(tmp_path: Path) -> None:
    source = (
        "import json\nimport os.path as p\nfrom math import sqrt as root, pi\n"
        "SECRET = 'the expected answer'\nANSWERS = {'q1': 'secret 42'}\n"
        "LIMIT = 10\nWORDS = ('a', 'b')\n"
        "def unused(): return SECRET\n"
        "def inner(x): return min(x, LIMIT)\n"
        "def outer(x):\n    # a comment\n    return inner(x) + len(WORDS)\n"
        "class Env:\n    expected = ANSWERS\n"
        "@tool\ndef t(state, x: int) -> float:\n    '''A tool.'''\n"
        "    return json.dumps([outer(x), root(x), p.join('a', 'b')])\n"
    )
    text = source_of([load(tmp_path, HEAD + source).t])

    assert '[6, 2.0, "a/b"]' == define(text).t({}, x=4)
    assert not re.search("secret|answer|Env|unused|tools|tool$|pi$", text, re.IGNORECASE)
    assert "# a comment" in text


@pytest.mark.parametrize(("source", "result"), TRAVELS.values(), ids=TRAVELS)
def test_shipped_source_behaves_as_the_original(tmp_path: Path, source: str, result: Any) -> None:
    module = load(tmp_path, HEAD + source)
    assert isinstance(module.t, Tool)
    text = source_of([module.t])

    assert text == source_of([module.t])
    assert result == module.t({})
    assert result == getattr(define(text), module.t.function.__name__)({})


@pytest.mark.parametrize(("source", "what"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_travel_is_refused_by_name(tmp_path: Path, source: str, what: str) -> None:
    assert f"tool 't' {what}" == refusal(tmp_path, source)


def test_one_name_for_two_things_is_refused(tmp_path: Path) -> None:
    source = (
        "N = 1\ndef helper(): return N\n"
        "def make():\n    N = 2\n    @tool\n    def t(state): return helper() + N\n    return t\nt = make()\n"
    )

    assert "tool 't' uses 'N', which stands for two different things" == refusal(tmp_path, source)


def test_a_refusal_does_not_show_what_the_thing_holds(tmp_path: Path) -> None:
    source = (
        "class S:\n    def __repr__(self): return 'the expected answer'\n"
        "X = S()\n@tool\ndef t(state): return X\n"
    )

    assert "answer" not in refusal(tmp_path, source)


def test_a_module_may_be_declared_to_be_there(tmp_path: Path) -> None:
    module = load(tmp_path, HEAD + "from tests.tools import lanes\n@tool\ndef t(state): return lanes.ROOT\n")

    assert ROOT == define(source_of([module.t], importable=("tests",))).t({})


def test_a_function_without_a_source_file_is_refused() -> None:
    namespace: dict[str, Any] = {"tool": tool, "__name__": "nowhere"}
    exec("@tool\ndef t(state): return 1\n", namespace)
    with pytest.raises(ToolError, match="tool 't' uses 't', whose source cannot be found"):
        source_of([namespace["t"]])


def test_tools_of_one_file_share_their_classes_and_globals(tmp_path: Path) -> None:
    module = load(
        tmp_path,
        HEAD + "class C: pass\nCALLS = []\n"
        "@tool\ndef put(state): state['c'] = C(); CALLS.append('put')\n"
        "@tool\ndef get(state): CALLS.append('get'); return isinstance(state['c'], C), CALLS\n",
    )
    shipped = define(source_of([module.put, module.get]))
    state: dict[str, Any] = {}
    shipped.put(state)

    assert (True, ["put", "get"]) == shipped.get(state)


def test_a_file_loaded_by_path_in_place_of_another_is_told_apart(tmp_path: Path) -> None:
    first = load(tmp_path, HEAD + "X = 1\n@tool\ndef t(state): return X\n", name="env_a")
    second = load(tmp_path, HEAD + "X = 2\n@tool\ndef t(state): return X\n", name="env_b")

    assert [1, 2] == [define(source_of([each.t])).t({}) for each in (first, second)]


@dataclasses.dataclass
class Seat:
    row: int


@tool
def of_this_very_file(state: dict[str, Any], row: int) -> str:
    return json.dumps(dataclasses.asdict(Seat(row)))


def test_the_source_runs_where_nothing_of_ours_is(tmp_path: Path) -> None:
    text = source_of([of_this_very_file])
    (tmp_path / "shipped.py").write_text(text + "print(of_this_very_file({}, row=3))\n")
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(tmp_path / "shipped.py")], check=True, capture_output=True, text=True
    )

    assert '{"row": 3}\n' == done.stdout
    assert "test_the_source" not in text
