"""A user's source file, taken apart: which definition makes a function or class, and what came by import.

Works on the file's text and never runs any of it. Lines come through `linecache`, so what was loaded by a
path, or from a zip file, is found too.
"""

from __future__ import annotations

import ast
import copy
import importlib.util
import inspect
import linecache
import symtable
import sys
import types
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Union

from tools.registry import tool

if TYPE_CHECKING:
    from typing import TypeGuard

_Node = Union[ast.FunctionDef, ast.ClassDef]


@dataclass(frozen=True)
class Import:
    """A name that an import statement binds: `statement` binds just this one."""

    module: str
    attribute: str | None
    statement: str
    binds: str

    def brought(self, value: Any) -> bool:
        """Whether `value` is what it brings; the name may have been bound again since."""
        if self.attribute is None:
            return sys.modules.get(self.binds) is value
        found = getattr(sys.modules.get(self.module), self.attribute, self)
        return found is value or sys.modules.get(f"{self.module}.{self.attribute}", self) is value


@dataclass(frozen=True)
class Definition:
    """A function's or class's definition, and its lines, decorators included."""

    node: _Node
    first_line: int
    text: str


class SourceFile:
    """The file in which a function is defined."""

    def __init__(self, function: types.FunctionType) -> None:
        """Read the file of `function`; one that cannot be read or parsed holds no definitions."""
        self._namespace = function.__globals__
        self._module = function.__module__
        self._name = function.__code__.co_filename
        self._lines = linecache.getlines(self._name, self._namespace)
        try:
            self._tree = ast.parse("".join(self._lines))
        except (SyntaxError, ValueError):
            self._tree = ast.Module(body=[], type_ignores=[])

    def definition_of(self, value: Any) -> Definition | None:
        """Return what defines `value` in this file; None if it is no function or class of this file."""
        plain: Any = inspect.unwrap(value) if callable(value) else value
        found: _Node | None = None
        for node in ast.walk(self._tree):
            if isinstance(node, ast.FunctionDef):
                if self._is_function_here(plain) and plain.__code__.co_firstlineno == _first_line(node):
                    found = node if node.name == plain.__code__.co_name else found
            elif (
                isinstance(node, ast.ClassDef)
                and isinstance(plain, type)
                and plain.__module__ == self._module
            ):
                found = node if node.name == plain.__name__ else found
        if found is None:
            return None
        plain_node = self._undecorated(found)
        return Definition(plain_node, _first_line(found), self._text(plain_node))

    def imports_of(self, name: str, value: Any) -> list[Import]:
        """Return the import statements outside functions that bound `name` to `value`."""
        found: list[Import] = []
        package = self._namespace.get("__package__") or ""
        for node in _outside_functions(self._tree):
            if isinstance(node, ast.Import):
                for each in node.names:
                    binds = each.name if each.asname else each.name.partition(".")[0]
                    if name == (each.asname or binds):
                        suffix = f" as {each.asname}" if each.asname else ""
                        found.append(Import(each.name, None, f"import {each.name}{suffix}", binds))
            elif isinstance(node, ast.ImportFrom):
                module = "." * node.level + (node.module or "")
                if node.level:
                    module = importlib.util.resolve_name(module, package) if package else module
                found += [
                    Import(module, each.name, f"from {module} import {each.name} as {name}", name)
                    for each in node.names
                    if name == (each.asname or each.name)
                ]
        return [each for each in found if each.brought(value)]

    def _is_function_here(self, value: object) -> TypeGuard[types.FunctionType]:
        # By its globals too: two versions of a file that were loaded one after the other have the same lines'
        # numbers.
        return (
            isinstance(value, types.FunctionType)
            and value.__globals__ is self._namespace
            and value.__code__.co_filename == self._name
        )

    def _undecorated(self, node: _Node) -> _Node:
        """Return the definition less the decorators that make a `Tool`, and those above them."""
        plain = copy.copy(node)
        for index, each in enumerate(node.decorator_list):
            if self._makes_a_tool(each):
                plain.decorator_list = node.decorator_list[index + 1 :]
        return plain

    def _text(self, node: _Node) -> str:
        """Return a definition's lines, those of its decorators included."""
        lines = self._lines[_first_line(node) - 1 : node.end_lineno]
        # A nested definition keeps its indentation: taking it away would change strings of many lines.
        return ("if True:\n" if node.col_offset else "") + "".join(lines).rstrip("\n")

    def _makes_a_tool(self, decorator: ast.expr) -> bool:
        plain = decorator.func if isinstance(decorator, ast.Call) else decorator
        path = ast.unparse(plain).split(".")
        value: Any = self._namespace.get(path[0])
        for attribute in path[1:]:
            value = getattr(value, attribute, None)
        return value is tool


def free_names(node: _Node, *, annotated: bool = False) -> list[str]:
    """Return the names that a definition takes from its module, sorted.

    Args:
        node: a function or class, its decorators, defaults and bases included.
        annotated: whether annotations in class bodies count. Those of functions never do.
    """
    plain = _Plain(keep_in_classes=annotated).visit(ast.parse(ast.unparse(node)))
    table = symtable.symtable(ast.unparse(plain), "<definition>", "exec")
    names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()}
    rest = list(table.get_children())
    while rest:
        each = rest.pop()
        rest += each.get_children()
        names |= {symbol.get_name() for symbol in each.get_symbols() if symbol.is_global()}
    return sorted(names)


def has_relative_import(node: _Node) -> bool:
    """Whether an import inside the definition is relative to a package that is not there inside."""
    return any(isinstance(each, ast.ImportFrom) and each.level for each in ast.walk(node))


def is_importable(module: str, importable: Collection[str] = ()) -> bool:
    """Whether `module` is of the standard library, of ours, installed as a package, or of `importable`."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in importable or top == __package__:
        return True
    spec = getattr(sys.modules.get(top), "__spec__", None)
    places = [getattr(spec, "origin", None), *(getattr(spec, "submodule_search_locations", None) or ())]
    parts = {part for place in places if place for part in PurePath(place).parts}
    return bool({"site-packages", "dist-packages"} & parts)


def _first_line(node: _Node) -> int:
    return min([node.lineno, *(each.lineno for each in node.decorator_list)])


def _outside_functions(tree: ast.AST) -> list[ast.AST]:
    """Return the nodes that belong to the module itself, in any ``if`` or ``try``, in order."""
    found: list[ast.AST] = []
    for node in ast.iter_child_nodes(tree):
        found.append(node)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            found += _outside_functions(node)
    return found


class _Plain(ast.NodeTransformer):
    """Takes annotations out, and leaves the rest of a definition's meaning as it is."""

    def __init__(self, *, keep_in_classes: bool) -> None:
        self._keep = keep_in_classes

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        kept, self._keep = self._keep, False
        found = self.generic_visit(node)
        self._keep = kept
        return found

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if not self._keep:
            node.annotation = ast.Constant(0)  # the statement stays: it makes its name local
        return self.generic_visit(node)
