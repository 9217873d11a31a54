"""Loads source as a user's module, as ``creche serve path/to/file.py:Class`` does."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

_numbers = itertools.count()


def load(directory: Path, source: str, name: str | None = None) -> ModuleType:
    """Write `source` to a file in `directory` and load it under a name of its own."""
    name = name or f"user_module_{next(_numbers)}"
    path = directory / f"{name}.py"
    path.write_text(source, "utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
