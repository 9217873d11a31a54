"""Reads assert statements as MBPP has them: which names are the candidate's, which modules they need.

Such statements do not say what they test. What they call and nobody defines must be the solution's.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Sequence

from server.verify.functions import FunctionTest
from server.verify.setup import MODULES
from server.verify.verdicts import UnusableTestError


def read_asserts(asserts: Sequence[str], prelude: str = "", entry_point: str | None = None) -> FunctionTest:
    """Return a test that runs `asserts` one after the other.

    Modules of Python that a statement names without importing them (``math.isclose(area(2), 4)``) are
    imported.

    Args:
        asserts: the statements.
        prelude: source of the data set's to run first.
        entry_point: a name that is the candidate's in any case.

    Raises:
        UnusableTestError: one of them does not compile, or nothing in them can be the candidate's.
    """
    try:
        trees = [ast.parse(statement) for statement in asserts]
        defined = _defined(ast.parse(prelude)) | set(dir(builtins))
    except SyntaxError as error:
        msg = f"the asserts do not compile: {error}"
        raise UnusableTestError(msg) from None
    for tree in trees:
        defined |= _defined(tree)
    nodes = [node for tree in trees for node in ast.walk(tree)]
    called = [
        node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    loaded = [node.id for node in nodes if isinstance(node, ast.Name)]
    names = [entry_point] if entry_point else []
    names += [name for name in called if name not in defined]
    modules = [name for name in dict.fromkeys(loaded) if name in MODULES and name not in (*names, *defined)]
    if not names:
        msg = "the asserts call nothing that a candidate could define"
        raise UnusableTestError(msg)
    imports = "".join(f"import {module}\n" for module in modules)
    return FunctionTest(pieces=tuple(asserts), names=tuple(dict.fromkeys(names)), prelude=imports + prelude)


def _defined(tree: ast.Module) -> set[str]:
    """Return the names that a piece of source binds, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
    return names
