"""Tools' functions as source that stands alone: the functions, the globals they name, and so on from there.

Three kinds of globals travel: what an import statement brought (as that statement, if the module can be
imported inside), constants (as literals), and functions and classes of the same file (as their source,
decorators included). Anything else is an error that says what to do: leaving something out silently would
fail inside, in a rollout, and taking something along silently could carry the ground truth in.

Definitions keep the order they have in their file, since bases, decorators and defaults are evaluated in it.
Annotations are not evaluated inside, so the names in them do not count; only those in class bodies, which
dataclasses look at, are taken along where that is possible.
"""

from __future__ import annotations

import builtins
import inspect
import sys
import types
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NoReturn

from tools.literals import NotLiteral, literal
from tools.registry import Tool, ToolError
from tools.usersource import Import, SourceFile, free_names, has_relative_import, is_importable

_ALWAYS_THERE = {"__name__", "__builtins__", "__doc__", "__spec__", "__package__", "__loader__", "__debug__"}
_MISSING = object()


def source_of(tools: Collection[Tool], importable: Collection[str] = ()) -> str:
    """Return Python source that defines the functions of `tools`, and needs nothing of their module.

    Args:
        tools: tools of one file. In one piece of source they share classes and globals, as in that file.
        importable: as for `tools.shipping.handlers_of`.

    Raises:
        ToolError: something that a function needs cannot travel; the message names the tool, the thing and
            the remedy.
    """
    goods = _Goods()
    for tool in tools:
        _Parcel(tool, goods, frozenset(importable)).add(tool.function.__name__, tool.function)
    return goods.render()


@dataclass
class _Goods:
    """What travels.

    Attributes:
        bound: every name that is taken care of, with what it stands for.
        imports: import statements, in order of first use.
        constants: name to literal.
        definitions: first line in the file, to source.
        aliases: first line of a definition, to statements that give it further names.
    """

    bound: dict[str, Any] = field(default_factory=dict[str, Any])
    imports: tuple[str, ...] = ()
    constants: dict[str, str] = field(default_factory=dict[str, str])
    definitions: dict[int, str] = field(default_factory=dict[int, str])
    aliases: dict[int, tuple[str, ...]] = field(default_factory=dict[int, "tuple[str, ...]"])

    def saved(self) -> dict[str, Any]:
        """Return the fields as they are now, to be put back by `restore`."""
        return {
            name: value if isinstance(value, tuple) else dict(value) for name, value in vars(self).items()
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Become again what `saved` was taken of."""
        vars(self).update(saved)

    def render(self) -> str:
        """Return it all as one module's source."""
        parts = ["from __future__ import annotations", *dict.fromkeys(self.imports)]
        parts += [f"{name} = {text}" for name, text in self.constants.items()]
        for line in sorted(self.definitions):
            parts += [self.definitions[line], *self.aliases.get(line, ())]
        return "\n".join(parts) + "\n"


class _Parcel:
    """Gathers what one tool needs, name by name, into goods that it may share with others."""

    def __init__(self, tool: Tool, goods: _Goods, importable: frozenset[str]) -> None:
        self._goods = goods
        self._tool = tool.name
        self._root: Any = inspect.unwrap(tool.function)
        self._file = SourceFile(self._root)
        self._importable = importable

    def add(self, name: str, value: Any) -> None:
        """Take along what `name` stands for, and what that needs.

        Raises:
            ToolError: it cannot travel.
        """
        value = value.function if isinstance(value, Tool) else value
        known = self._goods.bound.get(name, _MISSING)
        if known is not _MISSING and known is not value:
            self._refuse(name, "which stands for two different things", "give one of them another name")
        if known is value:
            return
        self._goods.bound[name] = value
        for way in (self._add_import, self._add_definition, self._add_constant, self._add_attribute):
            if way(name, value):
                return
        if _plain(value) is self._root:
            self._refuse(name, "whose source cannot be found", "define it with `def` in a file")
        self._refuse(name, _kind(value), "create it inside the function, or keep it in `state`")

    def _add_import(self, name: str, value: Any) -> bool:
        imports = self._file.imports_of(name, value)
        if not imports and isinstance(value, types.ModuleType):
            module = value.__name__
            imports = [Import(module, None, f"import {module} as {name}", module)]
        for each in imports:
            if not is_importable(each.module, self._importable):
                what = f"imported from {each.module!r}, which is not installed as a package"
                self._refuse(name, what, "move what it needs into the tool's own file")
            self._goods.imports += (each.statement,)
        return bool(imports)

    def _add_definition(self, name: str, value: Any) -> bool:
        definition = self._file.definition_of(value)
        if definition is None:
            return False
        node, line = definition.node, definition.first_line
        if has_relative_import(node):
            self._refuse(name, "which has a relative import in it", "move what that brings into this file")
        if node.name != name:
            self._goods.aliases[line] = (*self._goods.aliases.get(line, ()), f"{name} = {node.name}")
        if line in self._goods.definitions:
            return True
        self._goods.definitions[line] = definition.text
        needed = free_names(node)
        for each in needed:
            self._add_name(each, value)
        for each in free_names(node, annotated=True):
            if each not in needed:
                self._try_name(each, value)
        return True

    def _add_constant(self, name: str, value: Any) -> bool:
        try:
            self._goods.constants[name] = literal(value)
        except NotLiteral:
            return False
        return True

    def _add_attribute(self, name: str, value: Any) -> bool:
        """Take along what can be imported though no statement names it, such as what ``import *`` brought."""
        module, attribute = getattr(value, "__module__", None), getattr(value, "__name__", None)
        if not isinstance(module, str) or not isinstance(attribute, str):
            return False
        found = getattr(sys.modules.get(module), attribute, _MISSING)
        if found is not value or not is_importable(module, self._importable):
            return False
        self._goods.imports += (f"from {module} import {attribute} as {name}",)
        return True

    def _add_name(self, name: str, user: Any) -> None:
        """Take along what `name` means in the definition of `user`."""
        scope = {**self._root.__globals__, **_closure(user)}
        if name in _ALWAYS_THERE:
            return
        if name == "__file__":
            self._refuse(name, "a path of the server", "put what it needs into the session's files at seed")
        if name in scope:
            self.add(name, scope[name])
        elif not hasattr(builtins, name):
            self._refuse(name, "which is defined nowhere", "define it in the tool's own file")

    def _try_name(self, name: str, user: Any) -> None:
        """Take it along if that can be done, whole; nothing breaks without it."""
        saved = self._goods.saved()
        try:
            self._add_name(name, user)
        except ToolError:
            self._goods.restore(saved)

    def _refuse(self, name: str, what: str, remedy: str) -> NoReturn:
        msg = (
            f"tool {self._tool!r} uses {name!r}, {what}: it cannot be taken into the sandbox. Imports of "
            "installed packages, constants, and functions and classes of the tool's own file can. "
            f"Remedy: {remedy}"
        )
        raise ToolError(msg)


def _plain(value: Any) -> Any:
    return inspect.unwrap(value) if callable(value) else value


def _closure(value: Any) -> dict[str, Any]:
    """Return the names that a nested function, or a class's methods, have from the functions around them."""
    plain = _plain(value)
    if isinstance(plain, type):
        members = vars(plain).values()
        return {
            name: each for member in members for name, each in _closure(member).items() if name != "__class__"
        }
    if not isinstance(plain, types.FunctionType):
        return {}
    found: dict[str, Any] = {}
    for name, cell in zip(plain.__code__.co_freevars, plain.__closure__ or ()):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not bound yet
            continue
    return found


def _kind(value: Any) -> str:
    """Say what `value` is, without its content, which may be secret."""
    if isinstance(value, types.FunctionType):
        return f"a function of {value.__module__!r}" if value.__name__ != "<lambda>" else "a lambda"
    if isinstance(value, type):
        return f"a class of {value.__module__!r}"
    return f"an object of type {type(value).__name__!r}"
