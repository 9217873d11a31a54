"""Verifies functions by unittest classes, with the candidate in the test's own process: the in-process mode.

For tests that pass objects to the candidate or look at ones that it returns (data frames, plots, mocks), so
that the isolated mode of `functions` cannot carry them. It is asked for explicitly, and every report says
that this mode it was. `tools.judging_unittest` tells what is done against candidates that attack their test,
and that it cannot be complete: prefer `functions` where it will do.

Which tests there are is read from the test's source here, without running it. Each of them must come back as
passed, from a sandbox of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import attrs
import trio

from sandbox.limits import Limits
from sandbox.observation import Observation, Outcome
from server.verify.boxes import LIMITS, OpensSandboxes, ask, backstop, deadline_after
from server.verify.verdicts import OVER, CaseResult, CaseVerdict, Report, UnusableTestError
from tools.shapes import is_dict

IN_PROCESS = "in_process"
_SHOWN = 600
_VERDICTS = {
    "passed": CaseVerdict.PASSED,
    "failed": CaseVerdict.WRONG_ANSWER,
    "timeout": CaseVerdict.TIMEOUT,
    "memory": CaseVerdict.OUT_OF_MEMORY,
}
"""The rest is `ERROR`, a skipped test too."""


@attrs.frozen(kw_only=True)
class UnittestSuite:
    """A module of unittest classes.

    Attributes:
        source: the module.
        entry_point: the candidate's function that it tests.
        names: its tests, ``Class.method`` each.
        imports: the modules that it imports.
    """

    source: str
    entry_point: str
    names: tuple[str, ...]
    imports: tuple[str, ...]

    @classmethod
    def read(cls, source: str, entry_point: str) -> UnittestSuite:
        """Find the tests in `source`.

        Raises:
            UnusableTestError: it does not compile, or has no test.
        """
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError) as error:
            msg = f"the test does not compile: {error}"
            raise UnusableTestError(msg) from None
        names = tuple(_tests(tree))
        if not names:
            msg = "the test module has no class of unittest with a test in it"
            raise UnusableTestError(msg)
        return cls(source=source, entry_point=entry_point, names=names, imports=tuple(_imports(tree)))


@attrs.frozen(kw_only=True)
class UnittestVerifier:
    """Judges a candidate by unittest classes that share its process.

    Attributes:
        setup: the data set's source that is run before the solution in its namespace.
        cpu_seconds: processor time of each test, with what it takes to load the solution.
        wall_seconds: the backstop of each; None for ten times that.
        total_seconds: the whole suite, wall clock. The test that would begin after that counts as a timeout.
        stop_at_first: whether the tests after the first failed one are left out.
        limits: bounds of each test's sandbox.
    """

    setup: str = ""
    cpu_seconds: int = 30
    wall_seconds: float | None = None
    total_seconds: float = 600.0
    stop_at_first: bool = True
    limits: Limits = LIMITS

    async def verify(self, opener: OpensSandboxes, source: str, suite: UnittestSuite) -> Report:
        """Run every test of `suite` on `source`.

        Raises:
            UnusableTestError: the test, or `setup`, imports what is not there.
            SandboxError: a sandbox could not be had, which is our failure and no verdict.
        """
        results: list[CaseResult] = []
        deadline = deadline_after(self.total_seconds)
        for name in suite.names:
            if trio.current_time() > deadline:
                results.append(attrs.evolve(OVER, name=name))
                break
            results.append(await self._run(opener, source, suite, name))
            if self.stop_at_first and results[-1].verdict is not CaseVerdict.PASSED:
                break
        return Report(results=results, cases=len(suite.names), mode=IN_PROCESS)

    async def _run(self, opener: OpensSandboxes, source: str, suite: UnittestSuite, name: str) -> CaseResult:
        meeting = {
            "source": source,
            "prelude": self.setup,
            "test": suite.source,
            "name": name,
            "entry_point": suite.entry_point,
        }
        imports = dict.fromkeys((*suite.imports, *_imports_of(self.setup)))
        arguments = {"meeting": meeting, "imports": list(imports), "cpu_seconds": self.cpu_seconds}
        async with opener.open_sandbox(self.limits) as box:
            seen = await ask(box, "run_unittest", arguments, backstop(self.cpu_seconds, self.wall_seconds))
        return _result(seen, name)


def _result(seen: Observation, name: str) -> CaseResult:
    if seen.outcome is not Outcome.OK or not is_dict(seen.value):
        detail = (seen.error or str(seen.outcome))[:_SHOWN]
        return CaseResult(verdict=CaseVerdict.of(seen.outcome), detail=detail, name=name)
    outcome, detail = str(seen.value.get("outcome")), str(seen.value.get("detail"))
    if outcome == "unusable":
        raise UnusableTestError(detail)
    verdict = _VERDICTS.get(outcome, CaseVerdict.ERROR)
    said = "" if verdict is CaseVerdict.PASSED else f"{outcome}: {detail}"[:_SHOWN]
    return CaseResult(verdict=verdict, detail=said, name=name)


def _tests(tree: ast.Module) -> Iterator[str]:
    """Go through the tests of the module's classes, those inherited from one another included."""
    methods: dict[str, dict[str, None]] = {}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        bases = [ast.unparse(base) for base in node.bases]
        if not any(base.rpartition(".")[2] in _TEST_CASES or base in methods for base in bases):
            continue
        own = methods[node.name] = {}
        for base in bases:
            own |= methods.get(base, {})
        for each in node.body:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name.startswith("test"):
                own[each.name] = None
    for class_name, names in methods.items():
        yield from (f"{class_name}.{name}" for name in names)


_TEST_CASES = frozenset({"TestCase", "IsolatedAsyncioTestCase"})


def _imports(tree: ast.Module) -> Iterator[str]:
    """Go through the modules that the module imports when it is loaded."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def _imports_of(source: str) -> tuple[str, ...]:
    try:
        return tuple(_imports(ast.parse(source)))
    except (SyntaxError, ValueError):
        return ()


def has_unittests(source: Any) -> bool:
    """Whether `source` is Python with tests that `UnittestSuite.read` would find."""
    try:
        return isinstance(source, str) and any(_tests(ast.parse(source)))
    except (SyntaxError, ValueError):
        return False
