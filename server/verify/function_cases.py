"""Verifies functions by cases in JSON: arguments in, expected result out, each case in a sandbox of its own.

The form that LiveCodeBench has for problems with a function's name. The comparison is the server's; the
sandbox gets the arguments and never the result that is expected.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import attrs
import trio

from sandbox.box import Box
from sandbox.limits import Limits
from sandbox.observation import Observation, Outcome
from server.apart import apart
from server.verify.boxes import (
    LIMITS,
    OUT_OF_PROCESSOR_TIME,
    OpensSandboxes,
    ask,
    backstop,
    deadline_after,
)
from server.verify.json_match import matches
from server.verify.verdicts import OVER, PASSED, CaseResult, CaseVerdict, Report
from tools import plain
from tools.shapes import is_dict

_SHOWN = 300


@attrs.frozen
class FunctionCase:
    """The positional arguments of one call and its expected result, both as JSON has them."""

    arguments: Sequence[Any]
    expected: Any

    @classmethod
    def from_text(cls, arguments: str, expected: str) -> FunctionCase:
        """Make a case of LiveCodeBench's texts: one argument per line, each of them JSON.

        Raises:
            ValueError: one of them is no JSON.
        """
        return cls([json.loads(line) for line in arguments.split("\n")], json.loads(expected))


@attrs.frozen(kw_only=True)
class FunctionCaseVerifier:
    """Judges one function, or the method of that name of a class ``Solution``.

    Attributes:
        setup: source that is run before the solution in its namespace.
        cpu_seconds: processor time of loading the solution, and of the call.
        wall_seconds: the backstop of each; None for ten times `cpu_seconds`.
        total_seconds: the whole suite, wall clock. The case that would begin after that counts as a timeout.
        stop_at_first: whether the cases after the first failed one are left out.
        limits: bounds of each case's sandbox.
    """

    setup: str = ""
    cpu_seconds: float = 10.0
    wall_seconds: float | None = None
    total_seconds: float = 600.0
    stop_at_first: bool = True
    limits: Limits = LIMITS

    async def verify(
        self, opener: OpensSandboxes, source: str, name: str, cases: Sequence[FunctionCase]
    ) -> Report:
        """Call `name` of `source` for each case in turn.

        Raises:
            SandboxError: a sandbox could not be had, which is our failure and no verdict.
        """
        results: list[CaseResult] = []
        deadline = deadline_after(self.total_seconds)
        for case in cases:
            if trio.current_time() > deadline:
                results.append(OVER)
                break
            async with opener.open_sandbox(self.limits) as box:
                results.append(await self._run(box, source, name, case))
            if self.stop_at_first and results[-1].verdict is not CaseVerdict.PASSED:
                break
        return Report(results=results, cases=len(cases))

    async def _run(self, box: Box, source: str, name: str, case: FunctionCase) -> CaseResult:
        wall = backstop(self.cpu_seconds, self.wall_seconds)
        loading = {"source": source, "prelude": self.setup, "cpu_seconds": self.cpu_seconds}
        seen = await ask(box, "load_candidate", loading, wall, self.cpu_seconds)
        if _kind(seen) == "loaded":
            arguments: list[Any] = [list(case.arguments), {}]
            call = {"name": name, "arguments": plain.dumps(arguments), "cpu_seconds": self.cpu_seconds}
            seen = await ask(box, "call_candidate", call, wall, self.cpu_seconds)
        if _kind(seen) != "value":
            return _failure(seen)
        text: Any = seen.value.get("value")
        if isinstance(text, str) and await apart(len(text), partial(matches, case.expected, text)):
            return PASSED
        output = text[:_SHOWN] if isinstance(text, str) else ""
        return CaseResult(verdict=CaseVerdict.WRONG_ANSWER, detail="Wrong Answer", output=output)


def _kind(seen: Observation) -> Any:
    return seen.value.get("kind") if seen.outcome is Outcome.OK and is_dict(seen.value) else None


def _failure(seen: Observation) -> CaseResult:
    """Return the result of a call that gave no value."""
    if seen.outcome is not Outcome.OK or not is_dict(seen.value):
        detail = (seen.error or str(seen.outcome))[:_SHOWN]
        return CaseResult(verdict=CaseVerdict.of(seen.outcome), detail=detail)
    if seen.value.get("kind") == "timeout":
        return CaseResult(verdict=CaseVerdict.TIMEOUT, detail=OUT_OF_PROCESSOR_TIME)
    words = [seen.value.get(key) for key in ("type", "message", "reason")]
    detail = ": ".join(word for word in words if isinstance(word, str))[:_SHOWN]
    return CaseResult(verdict=CaseVerdict.ERROR, detail=detail or "no sensible answer")
