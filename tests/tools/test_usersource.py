from __future__ import annotations

import ast
from typing import Any

import pytest

from tests.tools import lanes
from tools.usersource import SourceFile, free_names, is_importable


def names(source: str, *, annotated: bool = False) -> list[str]:
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    return free_names(node, annotated=annotated)


@pytest.mark.parametrize(
    ("source", "free"),
    [
        ("def f(a, *b, c=D, **e): return a, b, c, e, G", ["D", "G"]),
        ("@deco(X)\ndef f(a: A) -> B: pass", ["X", "deco"]),
        ("def f():\n    x = 1\n    def g(): return x, y\n    return g", ["y"]),
        ("def f():\n    x: T = 1\n    return x", []),
        ("def f():\n    global n\n    n = 1", ["n"]),
        ("def f(): return [x for x in xs if (lambda z: z + w)(x)]", ["w", "xs"]),
        ("def f():\n    import os\n    return os.path", []),
        ("def f(): return f()", ["f"]),
        ("def f():\n    try: pass\n    except E as e: raise e", ["E"]),
        ("def f(): return f'{a!r:{b}}'", ["a", "b"]),
        ("def f():\n    async def g(x: T) -> R: await x(h)\n    return g", ["h"]),
        ("class C(Base, metaclass=M):\n    x = Y\n    def f(self): return Z", ["Base", "M", "Y", "Z"]),
        ("class C:\n    a: A\n    def f(self, b: B): return C", ["C"]),
        ("def f():\n    match v:\n        case P(x=1): return Q", ["P", "Q", "v"]),
    ],
)  # fmt: skip
def test_free_names_are_those_that_a_definition_takes_from_its_module(source: str, free: list[str]) -> None:
    assert free == names(source)


def test_annotations_of_classes_count_where_they_are_asked_for() -> None:
    source = "class C:\n    a: A = 1\n    def f(self, b: B) -> R:\n        x: X = b"

    assert ["A"] == names(source, annotated=True)
    assert [] == names(source)


@pytest.mark.parametrize(
    ("module", "answer"),
    [
        ("json", True),
        ("os.path", True),
        ("_thread", True),
        ("tools.registry", True),
        ("pytest", True),
        ("_pytest.config", True),
        ("tests.tools", False),
        ("server.http.app", False),
        ("nonesuch", False),
    ],
)
def test_what_is_installed_can_be_imported_inside(module: str, answer: bool) -> None:
    assert answer is is_importable(module)


def test_what_is_declared_can_be_imported_inside() -> None:
    assert is_importable("nonesuch.inner", {"nonesuch"})


def test_a_definition_is_found_by_what_it_defined() -> None:
    file = SourceFile(lanes.open_lane.__wrapped__)  # type: ignore[attr-defined]
    found = file.definition_of(lanes.open_lane)
    assert found is not None

    assert found.text.startswith("@contextlib.contextmanager\ndef open_lane(")
    assert found.text.endswith("lane.close()")
    assert None is file.definition_of(test_what_is_declared_can_be_imported_inside)
    assert None is file.definition_of(print)


def test_a_file_that_is_gone_holds_no_definition() -> None:
    namespace: dict[str, Any] = {"__name__": "gone"}
    exec(compile("def f(): pass", "/nowhere/gone.py", "exec"), namespace)

    assert None is SourceFile(namespace["f"]).definition_of(namespace["f"])
