"""Verifies functions: the test in one sandbox, the candidate in another, and plain data between them.

The judge's sandbox runs the data set's test, in which the candidate is a proxy. Each call of the proxy comes
here as text, is put to the candidate's sandbox, and goes back as text. This side never reads the values: it
carries them, and counts and times the calls. So there is nothing for the usual cheats to act on: an
``__eq__`` that is always true, a walk up the stack to the expected value, ``sys.exit`` before the asserts, a
patched builtin, all of it happens in a process that no verdict comes from.
"""

from __future__ import annotations

from typing import Any

import attrs
import trio

from sandbox.box import Box
from sandbox.limits import Limits
from sandbox.observation import Observation, Outcome
from server.verify.boxes import (
    LIMITS,
    OUT_OF_PROCESSOR_TIME,
    OpensSandboxes,
    ask,
    backstop,
    deadline_after,
)
from server.verify.verdicts import OVER, PASSED, CaseResult, CaseVerdict, Report, UnusableTestError
from tools.shapes import is_dict

_MAX_TEXT = 4096
_VERDICTS = {"assertion": CaseVerdict.WRONG_ANSWER}


@attrs.frozen(kw_only=True)
class FunctionTest:
    """A data set's test of functions.

    Attributes:
        pieces: source, run in order: a whole test module, or single assert statements.
        names: what the candidate's functions are called in the test. ``Solution`` is its class of that name;
            ``Solution().name`` as the first is a method of an instance.
        check: a function of the test to call with the first of them; None when running the pieces is all.
        prelude: the data set's own helpers, run before the test. Nothing of the candidate's.
    """

    pieces: tuple[str, ...]
    names: tuple[str, ...]
    check: str | None = None
    prelude: str = ""


@attrs.frozen(kw_only=True)
class FunctionVerifier:
    """Judges functions by a test that runs elsewhere.

    Attributes:
        setup: source that is run before the solution in the candidate's namespace: imports, or the prompt.
        cpu_seconds: processor time of loading the candidate, and of each call of it.
        wall_seconds: the backstop of each of these, and of each stretch of the test between two calls; None
            for ten times `cpu_seconds`.
        total_seconds: the whole of it, wall clock.
        max_calls: calls of the candidate.
        limits: bounds of either sandbox.
    """

    setup: str = ""
    cpu_seconds: float = 10.0
    wall_seconds: float | None = None
    total_seconds: float = 300.0
    max_calls: int = 100_000
    limits: Limits = LIMITS

    async def verify(self, opener: OpensSandboxes, source: str, test: FunctionTest) -> Report:
        """Judge `source` by `test`, as one case.

        Raises:
            UnusableTestError: the test itself does not compile, passes objects to the candidate, or never
            calls it. SandboxError: a sandbox could not be had, which is our failure and no verdict.
        """
        async with opener.open_sandbox(self.limits) as candidate, opener.open_sandbox(self.limits) as judge:
            result = await _Relay(self, candidate, judge).run(source, test)
        return Report(results=(result,), cases=1)


class _Over(Exception):
    """The case has its result before the test has come to its end."""

    def __init__(self, result: CaseResult) -> None:
        super().__init__(result)
        self.result = result


class _Relay:
    """Carries calls and answers between one judge and one candidate."""

    def __init__(self, bounds: FunctionVerifier, candidate: Box, judge: Box) -> None:
        self._bounds, self._candidate, self._judge = bounds, candidate, judge
        self._deadline = deadline_after(bounds.total_seconds)

    async def run(self, source: str, test: FunctionTest) -> CaseResult:
        try:
            return await self._run(source, test)
        except _Over as over:
            return over.result

    async def _run(self, source: str, test: FunctionTest) -> CaseResult:
        cpu = self._bounds.cpu_seconds
        loaded = await self._ask(
            self._candidate, "load_candidate", source=source, prelude=self._bounds.setup, cpu_seconds=cpu
        )
        if loaded.get("kind") != "loaded":
            return CaseResult(
                verdict=CaseVerdict.ERROR, detail=f"{loaded.get('type')}: {loaded.get('message')}"
            )
        step = await self._ask(
            self._judge,
            "judge_start",
            prelude=test.prelude,
            test=list(test.pieces),
            names=list(test.names),
            check=test.check,
        )
        for _ in range(self._bounds.max_calls):
            if "call" not in step:
                return _result(step["done"])
            answer = await self._ask(self._candidate, "call_candidate", **step["call"], cpu_seconds=cpu)
            step = await self._ask(self._judge, "judge_resume", answer=answer)
        return CaseResult(verdict=CaseVerdict.ERROR, detail=f"more than {self._bounds.max_calls} calls")

    async def _ask(self, box: Box, handler: str, **arguments: Any) -> dict[str, Any]:
        """Call a handler and return its answer.

        Raises:
            _Over: there is no answer. That of the judge is the candidate's failure too, for only the data
                that the candidate returned can make a test take too long or too much.
        """
        left = self._deadline - trio.current_time()
        if left <= 0:
            raise _Over(OVER)
        wall = backstop(self._bounds.cpu_seconds, self._bounds.wall_seconds)
        cpu = None if box is self._judge else self._bounds.cpu_seconds
        seen = await ask(box, handler, arguments, min(left, wall), cpu)
        if seen.outcome is not Outcome.OK or not is_dict(seen.value):
            raise _Over(_failed(seen))
        if box is self._judge:
            return seen.value
        answer = _cleaned(seen.value)
        if answer.get("kind") == "timeout":
            raise _Over(CaseResult(verdict=CaseVerdict.TIMEOUT, detail=OUT_OF_PROCESSOR_TIME))
        return answer


def _cleaned(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the texts of a candidate's answer, and nothing else that it may hold."""
    small = {key: answer[key][:_MAX_TEXT] for key in _SMALL if isinstance(answer.get(key), str)}
    large = {key: answer[key] for key in _LARGE if isinstance(answer.get(key), str)}
    return small | large


_SMALL = ("kind", "type", "message", "reason")
_LARGE = ("value", "arguments")


def _failed(seen: Observation) -> CaseResult:
    return CaseResult(
        verdict=CaseVerdict.of(seen.outcome), detail=(seen.error or str(seen.outcome))[:_MAX_TEXT]
    )


def _result(done: dict[str, Any]) -> CaseResult:
    """Return the judge's verdict as a result."""
    if done["failure"] == "test":
        raise UnusableTestError(done["error"])
    if done["passed"] is True and done["calls"] > 0:
        return PASSED
    return CaseResult(verdict=_VERDICTS.get(done["failure"], CaseVerdict.ERROR), detail=done["error"])
