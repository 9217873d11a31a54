"""Where a candidate and its test meet in one process: loads one, then the other, says what came of it.

Made before the candidate is there, so that everything it uses later is at hand by then.
"""

from __future__ import annotations

import builtins
import functools
import sys
import types
import unittest
from collections.abc import Sequence
from typing import Any, Callable

from tools.judging_guard import Guard

_TEST_NAME = "__test__"
_SOLUTION_NAME = "solution"


class _Result(unittest.TestResult):
    """Remembers successes too."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: list[Any] = []

    def addSuccess(self, test: Any) -> None:  # noqa: N802  # unittest's name
        self.passed.append(test)


class Meeting:
    """One test and one candidate.

    Args:
        source: the candidate.
        prelude: run before it in its namespace.
        test: the test module.
        name: ``Class.method``.
        entry_point: the candidate's function that is tested.
        imports: the modules that the test imports.
    """

    def __init__(
        self, source: str, prelude: str, test: str, name: str, entry_point: str, imports: Sequence[str]
    ) -> None:
        """Compile the test and keep the rest."""
        self._parts = (prelude, source)
        self._test = compile(test, _TEST_NAME, "exec", dont_inherit=True, optimize=0)
        self._class, _, self._method = name.partition(".")
        self._entry_point, self._imports = entry_point, imports
        self._suite_of = unittest.TestSuite

    def run(self) -> tuple[str, str]:
        """Load the candidate, run the test; return the outcome and its detail, as `run_unittest` does."""
        guard, result = Guard(_TEST_NAME, self._imports), _Result()
        changes, outcome_of = guard.changes, self._outcome
        try:
            namespace = self._namespace(self._solution())
            changed = changes()
            if changed:
                return "tampered", changed
            exec(self._test, namespace)
            case = namespace[self._class](self._method)
            self._suite_of([case]).run(result)
        except BaseException as error:  # noqa: BLE001  # SystemExit too: a test that leaves has not passed
            return "error", _text_of(error)
        changed = changes()
        return ("tampered", changed) if changed else outcome_of(result, case)

    @staticmethod
    def _outcome(result: _Result, case: Any) -> tuple[str, str]:
        for outcome, found in (("failed", result.failures), ("error", result.errors)):
            if found:
                return outcome, found[0][1]
        if result.skipped:
            return "skipped", result.skipped[0][1]
        if result.testsRun == 1 and len(result.passed) == 1 and result.passed[0] is case:
            return "passed", ""
        return "error", "the test did not run to its end as a success"

    def _solution(self) -> dict[str, Any]:
        """Run the candidate and return its names."""
        module = types.ModuleType(_SOLUTION_NAME)
        sys.modules[_SOLUTION_NAME] = module
        for text in self._parts:
            exec(compile(text, "solution.py", "exec", dont_inherit=True, optimize=0), module.__dict__)
        return module.__dict__

    def _namespace(self, solution: dict[str, Any]) -> dict[str, Any]:
        """Return the test's global names: a module's, and of the candidate's those that hide no builtin."""
        module = types.ModuleType(_TEST_NAME)
        sys.modules[_TEST_NAME] = module
        harmless = [name for name in solution if not hasattr(builtins, name) and name[:2] != "__"]
        module.__dict__.update({name: solution[name] for name in harmless})
        tested = solution.get(self._entry_point)
        if callable(tested) and not isinstance(tested, type):
            module.__dict__[self._entry_point] = _checked(tested)
        return module.__dict__


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function`, but for results with comparisons of the candidate's making."""
    require_honest = Guard.require_honest

    @functools.wraps(function)
    def entry_point(*args: Any, **kwargs: Any) -> Any:
        value = function(*args, **kwargs)
        require_honest(value)
        return value

    return entry_point


def _text_of(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001  # its __str__ is the candidate's code
        return type(error).__name__
