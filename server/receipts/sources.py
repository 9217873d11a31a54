"""The digest of the code that a verdict came from.

Counted are the modules of the environment's class and its bases, and from there whatever they use that is
neither the standard library's nor an installed package's, except ours: a changed helper is a changed
verifier.
What a module imports by other means than naming it is not seen.
"""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import attrs

from server.canonical import digest
from server.verify import VERIFIER
from tools import judging

if TYPE_CHECKING:
    from server.environment import Environment
    from server.settings import Settings

_OURS = ("server", "tools", "sandbox")
_FAR_SIDE = (judging.__name__, *(target.partition(":")[0] for _, target, _ in judging.ROLES.values()))
"""What runs inside verifiers' sandboxes is found by name there, so nothing here names it."""

_VERDICT_SETTINGS = (
    *("verify_seconds", "max_verifications", "python", "site_packages"),
    *("judge_url", "judge_model", "judge_api"),
)


def source_digest(environment: Environment[Any]) -> str:
    """Return the digest over names and sources of all modules that `environment.verify` rests on."""
    found: dict[str, str] = {}
    left = [sys.modules[klass.__module__] for klass in type(environment).__mro__]
    left += map(import_module, _FAR_SIDE)
    while left:
        module = left.pop()
        path = _own_source(module)
        if path is None or module.__name__ in found:
            continue
        found[module.__name__] = hashlib.sha256(path.read_bytes()).hexdigest()
        left += _named_in(module)
    return digest(found)


def settings_digest(environment: Environment[Any], settings: Settings) -> str:
    """Return the digest over what was set and can change a verdict; never over a secret."""
    chosen = {name: getattr(settings, name) for name in _VERDICT_SETTINGS}
    verifier = environment.verifier or VERIFIER
    return digest({"settings": chosen, "verifier": attrs.asdict(verifier), "environment": environment.name})


def _named_in(module: ModuleType) -> Iterator[ModuleType]:
    for value in list(vars(module).values()):
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        other = sys.modules.get(name) if isinstance(name, str) else None
        if other is not None:
            yield other


def _own_source(module: ModuleType) -> Path | None:
    """Return the source file of a module of ours or of the user's, None for anybody else's."""
    name = getattr(module, "__file__", None)
    if not isinstance(name, str) or not name.endswith(".py"):
        return None
    path = Path(name)
    if module.__name__.partition(".")[0] in _OURS:
        return path
    installed = (sysconfig.get_path(key) for key in ("stdlib", "platstdlib", "purelib", "platlib"))
    return None if any(path.is_relative_to(folder) for folder in installed) else path
