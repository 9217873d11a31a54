r"""Mathematics with a Python interpreter at hand; the answer is what the final message has in ``\boxed{}``.

Which rule finds and compares the answer is `MathWithCode.answers`: `FLAT` scores as NeMo Gym's recorded
rollouts were scored, and a subclass may take `NESTED`.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from typing import Any, ClassVar

import attrs

from sandbox.observation import Observation, Outcome
from sandbox.profile import Profile
from server.environment import Environment, Rollout, Verdict
from server.verify.boxed import FLAT, BoxRule, boxed_answer
from tools.cell import Console
from tools.registry import Failed, tool
from tools.shapes import is_dict


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


LIBRARIES = tuple(filter(_is_installed, ("numpy", "scipy", "pandas", "sympy")))
"""What sessions can import beyond the standard library: of the extra ``math``, what is installed here."""

ALIASES = """
try:
    import numpy, numpy as np
except ImportError:
    pass
try:
    import scipy
except ImportError:
    pass
try:
    import pandas, pandas as pd
except ImportError:
    pass
"""
"""The names that are there before the first line of code, where the libraries are."""


@tool(lane="python", streams=True, empty={"result": None})
def execute_python(state: dict[str, Any], code: str) -> dict[str, Any]:
    """Execute Python code to calculate something.

    Variables and imports last from call to call. numpy (as np), scipy, pandas (as pd) and sympy can be
    imported where they are installed.

    Args:
        state: keeps the console.
        code: the Python code to execute; print what you want to see.
    """
    console = state.get("console")
    if console is None:
        console = state["console"] = Console()
        console.run(ALIASES)
    ran = console.run(code)
    value = {"result": ran.result}
    if ran.failed:
        raise Failed(value)
    return value


@attrs.frozen
class MathTask:
    """A row: the answer."""

    expected_result: str


class MathWithCode(Environment[MathTask]):
    """Reward 1.0 if the boxed answer is the expected one."""

    tools = (execute_python,)
    profile = Profile(name="math", packages=LIBRARIES, preload=LIBRARIES)
    stateless = True
    answers: ClassVar[BoxRule] = FLAT

    def reply(self, tool: str, observation: Observation) -> Any:
        """Answer with NeMo Gym's fields; `error_message` is there if and only if something went wrong."""
        del tool  # there is one
        value = observation.value
        body = {
            "stdout": observation.stdout,
            "stderr": observation.stderr,
            "result": value.get("result") if is_dict(value) else None,
        }
        if observation.outcome is not Outcome.OK:
            body["error_message"] = _error_message(observation)
        return body

    async def verify(self, rollout: Rollout[MathTask]) -> Verdict:
        """Compare the boxed answer with the expected one."""
        answer = boxed_answer(rollout.response, self.answers)
        accuracy = answer is not None and self.answers.agree(answer, rollout.task.expected_result)
        return Verdict(float(accuracy), {"extracted_answer": answer, "accuracy": accuracy})


def _error_message(observation: Observation) -> str:
    """Return in one line what went wrong, and whether variables were lost by it."""
    last_line = observation.stderr.strip().rpartition("\n")[2]
    message = observation.error or last_line
    if observation.outcome is not Outcome.ERROR:
        message = f"{observation.outcome}: {message}" if message else str(observation.outcome)
    if observation.interpreter_reset:
        message += " (the interpreter was restarted: its variables are gone)"
    return message
