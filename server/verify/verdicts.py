"""What came of one test case, in words that every verifier shares."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import attrs

from sandbox.observation import Outcome


class UnusableTestError(Exception):
    """The data set's own test cannot be run in this mode, whoever the candidate is: that is no verdict."""


class JudgeFailedError(Exception):
    """A language model that should judge could not be asked. Our failure; the message tells of no task."""


class CaseVerdict(enum.StrEnum):
    """How a case ended. Every one but `PASSED` is the solution's failure, never ours."""

    PASSED = "passed"
    WRONG_ANSWER = "wrong_answer"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    ERROR = "error"

    @classmethod
    def of(cls, outcome: Outcome) -> CaseVerdict:
        """Return the verdict on a call that did not come back with an answer."""
        return _BY_OUTCOME.get(outcome, cls.ERROR)


_BY_OUTCOME = {Outcome.TIMEOUT: CaseVerdict.TIMEOUT, Outcome.OUT_OF_MEMORY: CaseVerdict.OUT_OF_MEMORY}


@attrs.frozen(kw_only=True)
class CaseResult:
    """One case's verdict.

    Attributes:
        verdict: how it ended.
        detail: why, in a few words; empty when it passed.
        output: what the solution gave, as far as it is text worth showing.
        cpu_seconds: the processor time it took, where that was measured.
        name: what the case is called, where cases have names.
    """

    verdict: CaseVerdict
    detail: str = ""
    output: str = ""
    cpu_seconds: float | None = None
    name: str = ""


PASSED = CaseResult(verdict=CaseVerdict.PASSED)
OVER = CaseResult(verdict=CaseVerdict.TIMEOUT, detail="the time for all cases together is over")


@attrs.frozen(kw_only=True)
class Report:
    """The results of a suite of cases.

    Attributes:
        results: one per case that was run, in order.
        cases: how many cases there are; fewer results means that the rest was not run.
        mode: how the solution was kept from the tests.
    """

    results: Sequence[CaseResult]
    cases: int
    mode: str = "isolated"

    @property
    def passed(self) -> bool:
        """Whether there are cases, all of them were run, and all passed. A missing case is a failed one."""
        everything = 0 < self.cases == len(self.results)
        return everything and all(result.verdict is CaseVerdict.PASSED for result in self.results)
