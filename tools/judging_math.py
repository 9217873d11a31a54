"""Whether two answers are mathematically equal, by the math-verify library, where that is installed.

Reading LaTeX ends in sympy, which can take for ever and, with some inputs, evaluates them. So this runs in a
verifier's sandbox and under a deadline of the server's.
"""

from __future__ import annotations

from typing import Any


def math_equal(state: dict[str, Any], expected: str, answer: str) -> dict[str, Any]:
    r"""Compare two answers, as they stand in ``\boxed{}``.

    Args:
        state: not used.
        expected: the data set's.
        answer: the model's.

    Returns:
        ``{"equal": bool, "expected": bool}``; the second says whether the expected one could be read at all.
        ``{"missing": reason}`` where there is no such library, whatever the answer is.
    """
    import importlib
    import logging

    del state
    try:
        library = importlib.import_module(
            "math_verify"
        )  # the profile's; the far side has no other dependency
    except ImportError as error:
        return {"missing": f"{type(error).__name__}: {error}"}
    parse, verify = library.parse, library.verify
    logging.disable(logging.CRITICAL)  # it complains that its own timeouts, which need signals, are off
    wanted, found = (parse(f"\\boxed{{{text}}}", parsing_timeout=None) for text in (expected, answer))
    is_equal = bool(wanted and found and verify(wanted, found, timeout_seconds=None))
    return {"equal": is_equal, "expected": bool(wanted)}
