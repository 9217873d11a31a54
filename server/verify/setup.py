"""The names that LiveCodeBench's grader gives every solution for nothing.

Solutions in that form are written for a site where everything common is imported already: they say
``List[int]`` and ``heappush`` without a word of import. Here the same modules are imported with a star, in
the same order (a later one wins: `pow` is the builtin again in the end), and then by name.
"""

from __future__ import annotations

_STARRED = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics"),
    *("itertools", "functools", "operator", "io", "sys", "json", "builtins", "typing"),
)
_NAMED = tuple(name for name in _STARRED if name not in {"builtins", "typing"})

MODULES = _STARRED
"""What is worth preloading in a profile whose sandboxes run such solutions."""

RECURSION_LIMIT = 50_000

SETUP = "\n".join(
    [
        *(f"from {name} import *" for name in _STARRED),
        *(f"import {name}" for name in _NAMED),
        f"sys.setrecursionlimit({RECURSION_LIMIT})",
        "",
    ]
)
"""Source to run before a solution in LiveCodeBench's form."""
