"""From an environment's name to an instance of it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

from server.environment import Environment
from server.environments import SHIPPED, load_shipped


class EnvironmentNotFoundError(Exception):
    """The name leads to no environment. The message is one sentence with the remedy."""


def load_environment(name: str) -> Environment[Any]:
    """Return an instance of the environment called `name`.

    Args:
        name: that of a shipped one, ``package.module:Class``, or ``path/to/file.py:Class``.

    Raises:
        EnvironmentNotFoundError: there is none, or it cannot be imported.
    """
    place, colon, class_name = name.rpartition(":")
    if not colon:
        return _shipped(name)
    module = _module_from_file(Path(place)) if place.endswith(".py") else _module(place)
    found: object = getattr(module, class_name, None)
    if not _is_environment(found):
        there = [key for key, value in vars(module).items() if _is_own_environment(value, module)]
        hint = f"; there is {', '.join(there)}" if there else "; it defines no subclass of Environment"
        msg = f"{place} has no environment class {class_name!r}{hint}"
        raise EnvironmentNotFoundError(msg)
    return _make(found, name)


def _is_environment(value: object) -> TypeGuard[type[Environment[Any]]]:
    return isinstance(value, type) and issubclass(value, Environment)


def _is_own_environment(value: object, module: ModuleType) -> bool:
    return _is_environment(value) and value.__module__ == module.__name__


def _make(klass: type[Environment[Any]], name: str) -> Environment[Any]:
    if klass.verify is vars(Environment)["verify"]:
        msg = f"{name} cannot be served: its class does not define `async def verify(self, rollout)`"
        raise EnvironmentNotFoundError(msg)
    try:
        return klass()
    except Exception as error:
        msg = f"{name} cannot be made without arguments: {type(error).__name__}: {error}"
        raise EnvironmentNotFoundError(msg) from error


def _shipped(name: str) -> Environment[Any]:
    if name not in SHIPPED:
        known = ", ".join(SHIPPED)
        msg = (
            f"no environment is called {name!r}: give {known}, package.module:Class or path/to/file.py:Class"
        )
        raise EnvironmentNotFoundError(msg)
    return _make(load_shipped(name), name)


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        msg = f"the module {name} cannot be imported: {type(error).__name__}: {error}"
        raise EnvironmentNotFoundError(msg) from error


def _module_from_file(path: Path) -> ModuleType:
    # Under its own name the file could hide an installed module, or one of ours.
    name = f"creche_environment_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        msg = f"there is no file {path}"
        raise EnvironmentNotFoundError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # attrs and the tools' annotations are resolved through it
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        msg = f"{path} cannot be imported: {type(error).__name__}: {error}"
        raise EnvironmentNotFoundError(msg) from error
    return module
