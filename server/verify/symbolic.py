r"""Mathematical equality of two answers: ``\frac{1}{2}`` and ``0.5``, ``x(x+1)`` and ``x^2+x``.

Decided by the math-verify library (extra ``math``), in a sandbox and under a deadline, because reading an
answer can take for ever and is not free of evaluation. An answer that is not decided in time is not equal.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution

import attrs

from sandbox.observation import Outcome
from server.verify.answers import same_number, same_text
from server.verify.boxes import VERIFIER, OpensSandboxes, ask
from tools.shapes import is_dict

LIBRARY = "math-verify"
MAX_CHARACTERS = 2000
_SHOWN = 300


class MathUnavailableError(Exception):
    """The sandbox has no math-verify library. Our failure: install the extra ``math``."""


def _installed() -> tuple[str, ...]:
    try:
        distribution(LIBRARY)
    except PackageNotFoundError:
        return ()
    return (LIBRARY,)


MATH_VERIFIER = attrs.evolve(
    VERIFIER,
    name="math verifier",
    packages=_installed(),
    preload=(*VERIFIER.preload, *(("math_verify",) if _installed() else ())),
)
"""What an environment's `verifier` must be for `symbolically_equal` to work."""


def _same_signs(answer: str, expected: str) -> bool:
    """Whether both have the same factorials: to a text, an exclamation mark at its end says nothing."""
    return answer.count("!") == expected.count("!")


async def symbolically_equal(
    opener: OpensSandboxes, expected: str, answer: str, seconds: float = 10.0
) -> bool:
    """Whether `answer` equals `expected` as text, as a number, or as mathematics.

    Raises:
        MathUnavailableError: the library is missing, so that the third cannot be known.
        SandboxError: a sandbox could not be had, which is our failure and no verdict.
    """
    if _same_signs(answer, expected) and same_text(answer, expected):
        return True
    if same_number(answer, expected):
        return True
    # Python's own names have no business in an answer, and a long answer is none.
    if not answer.strip() or len(answer) > MAX_CHARACTERS or "__" in answer:
        return False
    arguments = {"expected": expected, "answer": answer}
    async with opener.open_sandbox() as box:
        seen = await ask(box, "math_equal", arguments, seconds)
    if seen.outcome is not Outcome.OK or not is_dict(seen.value):
        return False
    if "missing" in seen.value:
        msg = f"{str(seen.value['missing'])[:_SHOWN]}; install the extra: pip install 'creche[math]'"
        raise MathUnavailableError(msg)
    return seen.value.get("equal") is True
