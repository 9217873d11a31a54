"""Makes a test in the candidate's own process harder to fool. It raises the price; it is no wall.

Three measures, all taken before the candidate is loaded: a record of what tests are made of, compared
afterwards by identity; an audit hook, which cannot be taken off again, against looking at frames, at the
garbage collector's lists and at code objects; and a look at the classes of returned values.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import types
from collections.abc import Sequence
from typing import Any, cast

from tools.shapes import is_dict

_WATCHED = ("builtins", "contextlib", "unittest", "numpy.testing", "pandas._testing", "pandas.testing")
"""With the modules in them. Beside these, the modules that the test names."""

_FORBIDDEN = frozenset(
    {
        *(
            "sys._getframe",
            "sys._current_frames",
            "sys._current_exceptions",
            "sys.settrace",
            "sys.setprofile",
        ),
        *("gc.get_objects", "gc.get_referrers", "gc.get_referents"),
        *("ctypes.string_at", "ctypes.wstring_at", "ctypes.cdata", "ctypes.addressof"),
        *("ctypes.dlsym", "ctypes.dlsym/handle", "ctypes.call_function"),
    }
)
_ATTRIBUTES = frozenset({"object.__getattr__", "object.__setattr__"})
_FRAMES = frozenset({"tb_frame", "gi_frame", "cr_frame", "ag_frame"})
_CODE = frozenset({"__code__", "__defaults__", "__kwdefaults__"})
_GO_BETWEENS = frozenset(
    {
        *("inspect", "threading", "ctypes", "bdb", "pdb", "trace", "profile", "cgitb", "code", "pydoc"),
        *("string", "xmlrpc.server", "logging.config", "asyncio.tasks", "asyncio.base_tasks"),
    }
)
"""Modules that would ask in a solution's name."""

_HAND_OVER = {
    "traceback": frozenset({"walk_tb", "walk_stack", "_walk_tb_with_full_positions"}),
    "logging": frozenset({"<lambda>", "currentframe"}),
}
"""Functions of modules that ask for themselves otherwise: what these get, their callers get."""

_COMPARISONS = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__sub__", "__rsub__", "__abs__")
_MOST_ITEMS = 10_000
_ITEMS_OF_DICT: Any = cast("Any", dict).items  # not what a subclass has under that name


class TamperedError(Exception):
    """The candidate reached for what is not its business."""


class Guard:
    """Watches from the moment it is made.

    Args:
        test_name: the file name that the test's own code is compiled under.
        imports: the modules that the test imports.
    """

    def __init__(self, test_name: str, imports: Sequence[str] = ()) -> None:
        """Record what tests are made of and put up the hook."""
        _load_watched()
        self._imports = tuple(imports)
        self._record = _record(self._imports)
        self._trusted = (*_toolchain(), test_name, "<frozen")
        self._looking: set[int] = set()
        self._getframe = sys._getframe  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # no other way
        sys.addaudithook(self._hook)

    def changes(self) -> str:
        """Return what of it has been changed, one name; empty if nothing has."""
        now = _record(self._imports)
        for key, value in self._record.items():
            if key not in now or now[key] is not value:
                return f"{key} was replaced"
        return ""

    @staticmethod
    def require_honest(value: object) -> None:
        """Raise TamperedError if `value`, or what builtin containers in it hold, compares as it likes."""
        seen = 0
        waiting: list[Any] = [value]
        while waiting and seen < _MOST_ITEMS:
            seen += 1
            item: Any = waiting.pop()
            for klass in type(item).__mro__:
                if any(_is_foreign(vars(klass).get(name)) for name in _COMPARISONS):
                    msg = f"the solution returned a {klass.__name__} with comparisons of its own"
                    raise TamperedError(msg)
            if is_dict(item):
                waiting += [part for pair in _ITEMS_OF_DICT(item) for part in pair]
            elif any(isinstance(item, kind) for kind in (list, tuple, set, frozenset)):
                waiting += list(item)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        through = _GO_BETWEENS
        if event in _ATTRIBUTES and args[1] in _CODE:
            through = frozenset[str]()  # inspect.signature reads it too, and tells nothing that matters
        elif not (
            event in _FORBIDDEN
            or (event in _ATTRIBUTES and args[1] in _FRAMES)
            or (event == "open" and _is_proc(args[0]))
        ):
            return
        thread = threading.get_ident()
        if thread in self._looking:  # this hook's own question for a frame
            return
        self._looking.add(thread)
        try:
            if self._is_candidate(self._getframe(1), through):
                msg = f"{event} is not for solutions while they are tested"
                raise TamperedError(msg)
        finally:
            self._looking.discard(thread)

    def _is_candidate(self, frame: types.FrameType | None, through: frozenset[str]) -> bool:
        """Whether what asks, itself or `through` others, is neither of the toolchain nor of the test."""
        while frame is not None:
            name = str(frame.f_globals.get("__name__"))
            if name not in through and frame.f_code.co_name not in _HAND_OVER.get(name, ()):
                break
            frame = frame.f_back
        if frame is not None and frame.f_globals.get("__name__") == "traceback":
            return bool(frame.f_locals.get("capture_locals"))  # else it makes lines of text of them
        return frame is not None and not frame.f_code.co_filename.startswith(self._trusted)


def _toolchain() -> tuple[str, ...]:
    """Return the folders that interpreter, libraries and our own code come from."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    folders = (os.path.dirname(os.__file__), here, *(path for path in sys.path if path.startswith("/")))
    return tuple({os.path.join(folder, "") for folder in folders if folder != os.getcwd()})


def _is_proc(path: object) -> bool:
    return isinstance(path, str) and os.path.normpath(path).startswith("/proc")


def _is_foreign(method: object) -> bool:
    """Whether a method is Python code of no module that was imported from a file."""
    if not isinstance(method, types.FunctionType):
        return False
    module = sys.modules.get(str(method.__globals__.get("__name__")))
    is_from_file = getattr(module, "__file__", None) is not None
    return module is None or module.__dict__ is not method.__globals__ or not is_from_file


def _load_watched() -> None:
    """Import what is watched and whose library is there: it may be loaded only when it is first used."""
    for name in _WATCHED:
        if name.partition(".")[0] in sys.modules:
            importlib.import_module(name)


def _record(imports: tuple[str, ...]) -> dict[str, object]:
    """Return what tests are made of, by name: modules, their values, classes' attributes, functions' code."""
    record: dict[str, object] = {}
    for module_name, module in list(sys.modules.items()):
        if module_name in imports or module_name.startswith(_WATCHED):
            record[module_name] = module
            for name, value in list(vars(module).items()):
                _note(record, f"{module_name}.{name}", value)
    return record


def _note(record: dict[str, object], name: str, value: object) -> None:
    if isinstance(value, types.FunctionType):
        record[name] = value
        record[f"{name}.__code__"] = value.__code__
    elif isinstance(value, type):
        record[name] = value
        for attribute, member in list(vars(value).items()):
            if isinstance(member, (types.FunctionType, classmethod, staticmethod)):
                record[f"{name}.{attribute}"] = member
                if isinstance(member, types.FunctionType):
                    record[f"{name}.{attribute}.__code__"] = member.__code__
    elif isinstance(value, types.BuiltinFunctionType):
        record[name] = value
