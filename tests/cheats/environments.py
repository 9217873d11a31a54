"""Shipped verifiers, made cheap: bounds that a test can reach, and no libraries to load."""

from __future__ import annotations

from sandbox.profile import Profile
from server.environment import Environment, Rollout, Verdict
from server.environments.code_gen import CodeGenTask
from server.environments.code_tests import ProgramTests
from server.environments.math_with_code import MathWithCode
from server.verify.extraction import last_code_block
from server.verify.programs import ProgramCase, ProgramVerifier

CPU_SECONDS = 1


class Brief(Environment[CodeGenTask]):
    """Judges programs as `code_gen` does, with one second of processor time."""

    tools = ("python",)

    async def verify(self, rollout: Rollout[CodeGenTask]) -> Verdict:
        """Run the row's cases."""
        tests = rollout.task.tests()
        assert isinstance(tests, ProgramTests)
        cases = [ProgramCase(*pair) for pair in tests.pairs]
        source = last_code_block(rollout.final_text) or ""
        report = await ProgramVerifier(cpu_seconds=CPU_SECONDS).verify(rollout, source, cases)
        told = {"error_message": str(report.results[-1].verdict)}
        return Verdict(float(report.passed), {"metadata": told})


class Boxed(MathWithCode):
    """`math_with_code` without numpy and the like."""

    name = "boxed"
    profile = Profile()
