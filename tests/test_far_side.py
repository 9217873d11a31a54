"""What runs on the far side of a cage does with the standard library, on interpreters as old as 3.9.

import-linter can forbid packages by name only, and this is the other way round: all but few are forbidden.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
NEAR_SIDE_TOOLS = {"shipping.py"}  # how tools get to the far side; stays on the near one itself
ALLOWED = {"sandbox.frames", "sandbox.packets", "sandbox.inside", "sandbox.linux", "tools"}
OLDEST = (3, 9)


def far_side_files() -> list[Path]:
    inside = [*ROOT.glob("sandbox/inside/**/*.py"), *ROOT.glob("sandbox/linux/**/*.py")]
    tools = [path for path in ROOT.glob("tools/**/*.py") if path.name not in NEAR_SIDE_TOOLS]
    # A package's own `__init__` is executed with whatever is imported from it.
    return sorted(
        [*inside, *tools, *(ROOT / "sandbox" / name for name in ("__init__.py", "frames.py", "packets.py"))]
    )


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_allowed(name: str) -> bool:
    near = any(f"{name}.".startswith(f"tools.{Path(file).stem}.") for file in NEAR_SIDE_TOOLS)
    ours = any(f"{name}.".startswith(f"{prefix}.") for prefix in ALLOWED)
    return (ours and not near) or name.partition(".")[0] in sys.stdlib_module_names


@pytest.mark.parametrize("path", far_side_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_far_side_needs_only_an_old_interpreter_and_its_standard_library(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"), filename=str(path), feature_version=OLDEST)

    assert [] == [name for name in imported(tree) if not is_allowed(name)]
