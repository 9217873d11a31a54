from __future__ import annotations

import subprocess
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.profile import Handler
from tests.tools.lanes import ROOT
from tests.tools.user_modules import load
from tools.registry import Tool, ToolError, tool
from tools.shipped import SHIPPED
from tools.shipping import handler_of, handlers_of

if TYPE_CHECKING:
    from pathlib import Path

USERS = (
    "from tools import tool\n"
    "SECRET = 'ground truth'\n"
    "@tool\ndef one(state, x: int): return x\n"
    "@tool(name='two-too', lane='mine', streams=True)\ndef two(state): return one({}, x=2)\n"
)


def test_shipped_tools_go_by_their_names() -> None:
    assert Handler(name="python", lane="python", target="tools.python:python", streams=True) == handler_of(
        SHIPPED["python"]
    )
    assert Handler(name="bash", lane="bash", target="tools.bash:bash", streams=True) == handler_of(
        SHIPPED["bash"]
    )
    assert Handler(name="read_file", lane="tools", target="tools.files:read_file") == handler_of(
        SHIPPED["read_file"]
    )
    assert {None} == {each.source for each in handlers_of(SHIPPED.values())}


def test_a_users_tools_travel_as_one_piece_of_source(tmp_path: Path) -> None:
    module = load(tmp_path, USERS)
    one, bash, two = handlers_of([module.one, SHIPPED["bash"], module.two])

    assert ("one", "tools", "custom_tools_1:one", False) == (one.name, one.lane, one.target, one.streams)
    assert ("two-too", "mine", "custom_tools_1:two", True) == (two.name, two.lane, two.target, two.streams)
    assert "tools.bash:bash" == bash.target
    assert one.source == two.source
    assert one.source is not None
    assert "ground truth" not in one.source


def test_tools_of_two_files_travel_apart(tmp_path: Path) -> None:
    first, second = load(tmp_path, USERS), load(tmp_path, USERS)
    handlers = handlers_of([first.one, second.two, first.two])

    assert ["custom_tools_1:one", "custom_tools_2:two", "custom_tools_1:two"] == [
        each.target for each in handlers
    ]


def test_what_a_target_names_is_what_is_called(tmp_path: Path) -> None:
    handler = handler_of(load(tmp_path, USERS).two)
    name, _, function = handler.target.partition(":")
    module = types.ModuleType(name)
    assert handler.source is not None
    exec(handler.source, module.__dict__)

    assert 2 == getattr(module, function)({})


def test_a_copy_of_a_shipped_function_is_not_taken_for_the_shipped_one() -> None:
    def python(state: dict[str, Any]) -> int:
        return 1

    python.__module__ = "tools.python"

    assert handler_of(tool(python)).source is not None


def test_a_tool_that_cannot_travel_is_refused(tmp_path: Path) -> None:
    module = load(tmp_path, "from tools import tool\nX = object()\n@tool\ndef t(state): return X\n")
    with pytest.raises(ToolError, match="tool 't' uses 'X'"):
        handlers_of([module.t])


@pytest.mark.parametrize("each", SHIPPED.values(), ids=lambda each: each.name)
def test_every_shipped_target_can_be_imported_without_our_packages(each: Tool) -> None:
    module, _, name = handler_of(each).target.partition(":")
    code = f"import sys; sys.path.append({str(ROOT)!r})\nimport {module} as m\nassert m.{name}.function"

    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)
