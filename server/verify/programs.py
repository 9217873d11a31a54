"""Verifies programs: standard input in, standard output out, each case in a sandbox of its own.

Whether an output is right is said by a comparator here, or by the task's own checker program, which runs in
yet another sandbox (`checkers`). A fresh sandbox per case means that nothing a program leaves behind
(files, processes, a count of its runs) can serve it in the next. The expected output stays here. What the
program printed is what the server read from the pipe, and its exit status is what its parent process saw.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from functools import partial

import attrs
import trio

from sandbox.limits import Limits
from sandbox.observation import Observation, Outcome
from server.apart import apart
from server.verify.boxes import (
    LIMITS,
    OpensSandboxes,
    ask,
    backstop,
    deadline_after,
    limits_for_output,
)
from server.verify.checkers import Checker
from server.verify.comparators import Comparator, by_lines
from server.verify.exits import cpu_seconds_of, exit_code_of
from server.verify.verdicts import OVER, PASSED, CaseResult, CaseVerdict, Report

_BY_EXIT_CODE = {
    -signal.SIGXCPU: CaseVerdict.TIMEOUT,
    # Who else sends it? A program that kills itself has failed, by either name.
    -signal.SIGKILL: CaseVerdict.OUT_OF_MEMORY,
}
_DETAIL = 300


@attrs.frozen
class ProgramCase:
    """What a program reads and what it must print."""

    stdin: str
    expected: str


@attrs.frozen(kw_only=True)
class ProgramVerifier:
    """Judges programs by their output.

    Attributes:
        compare: when an output counts as the expected one: a comparator, or a `Checker`.
        setup: source that is run before the program in its namespace.
        cpu_seconds: processor time of the program and all that it starts, which is what it is judged by.
        wall_seconds: the backstop for one that waits; None for ten times `cpu_seconds`, so that a loaded
            machine changes no verdict.
        total_seconds: the whole suite, wall clock. The case that would begin after that counts as a timeout.
        stop_at_first: whether the cases after the first failed one are left out.
        limits: bounds of each case's sandbox.
    """

    compare: Comparator | Checker = by_lines
    setup: str = ""
    cpu_seconds: int = 10
    wall_seconds: float | None = None
    total_seconds: float = 600.0
    stop_at_first: bool = True
    limits: Limits = LIMITS

    async def verify(self, opener: OpensSandboxes, source: str, cases: Sequence[ProgramCase]) -> Report:
        """Run `source` on each case in turn.

        Raises:
            SandboxError: a sandbox could not be had, which is our failure and no verdict.
            UnusableTestError: the task's checker does not compile.
        """
        if isinstance(self.compare, Checker):
            self.compare.require_usable()
        results: list[CaseResult] = []
        deadline = deadline_after(self.total_seconds)
        for case in cases:
            if trio.current_time() > deadline:
                results.append(OVER)
                break
            results.append(await self._run(opener, source, case))
            if self.stop_at_first and results[-1].verdict is not CaseVerdict.PASSED:
                break
        return Report(results=results, cases=len(cases))

    async def _run(self, opener: OpensSandboxes, source: str, case: ProgramCase) -> CaseResult:
        limits = limits_for_output(self.limits, len(case.expected.encode("utf-8", "surrogatepass")))
        arguments = {
            "source": source,
            "stdin": case.stdin,
            "setup": self.setup,
            "cpu_seconds": self.cpu_seconds,
        }
        async with opener.open_sandbox(limits) as box:
            wall = backstop(self.cpu_seconds, self.wall_seconds)
            seen = await ask(box, "run_program", arguments, wall, self.cpu_seconds)
        return attrs.evolve(await self._judge(opener, seen, case), cpu_seconds=cpu_seconds_of(seen))

    async def _judge(self, opener: OpensSandboxes, seen: Observation, case: ProgramCase) -> CaseResult:
        if seen.outcome is not Outcome.OK:
            verdict = CaseVerdict.of(seen.outcome)
            return CaseResult(verdict=verdict, detail=seen.error or str(seen.outcome), output=seen.stdout)
        code = exit_code_of(seen)
        if code != 0:
            verdict = _BY_EXIT_CODE.get(code, CaseVerdict.ERROR)
            detail = seen.stderr.strip()[-_DETAIL:] or f"exit code {code}"
            return CaseResult(verdict=verdict, detail=detail, output=seen.stdout)
        if "stdout" in seen.truncated:
            why: str | None = "Wrong answer: too much output"
        elif isinstance(self.compare, Checker):
            why = await self.compare.check(opener, case.stdin, case.expected, seen.stdout)
        else:
            why = await apart(len(seen.stdout), partial(self.compare, case.expected, seen.stdout))
        if why is None:
            return PASSED
        return CaseResult(verdict=CaseVerdict.WRONG_ANSWER, detail=why, output=seen.stdout)
