"""BigCodeBench: a function that uses libraries, judged by unittest classes in its own process.

The rows are those of `code_gen`, which judges them the same way. Here sessions and tests have the scientific
libraries that are installed, and the reply tells each test's verdict under BigCodeBench's names.
"""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from sandbox.limits import MIB
from sandbox.profile import Profile
from server.environment import Rollout, Verdict
from server.environments.code_gen import CODES, CodeGen, CodeGenTask
from server.environments.math_with_code import LIBRARIES
from server.verify.boxes import VERIFIER
from server.verify.verdicts import CaseVerdict

_TESTING = tuple(f"{name}.testing" for name in ("numpy", "pandas") if name in LIBRARIES)
_LIMITS = attrs.evolve(VERIFIER.limits, memory_bytes=2048 * MIB, processes=128)


class Bigcodebench(CodeGen):
    """Reward 1.0 if every test of the row passes."""

    profile = Profile(name="bigcodebench", packages=LIBRARIES, preload=LIBRARIES)
    verifier: ClassVar[Profile | None] = attrs.evolve(
        VERIFIER,
        name="bigcodebench verifier",
        packages=LIBRARIES,
        preload=(*VERIFIER.preload, "unittest.mock", *LIBRARIES, *_TESTING),
        limits=_LIMITS,
    )

    async def verify(self, rollout: Rollout[CodeGenTask]) -> Verdict:
        """Judge as `code_gen` does, and say how it went in a word."""
        verdict = await super().verify(rollout)
        metadata = rollout.task.verifier_metadata or {}
        fields: dict[str, Any] = {**verdict.fields, "task_id": metadata.get("task_id")}
        if "extracted_model_code" not in fields:
            status = "no_code_block" if rollout.final_text.strip() else "empty_output"
        elif fields["result"][-1:] == [CODES[CaseVerdict.TIMEOUT]]:
            status = "timeout"
        else:
            status = "pass" if verdict.reward == 1.0 else "fail"
        return Verdict(verdict.reward, {**fields, "status": status, "details": fields.get("metadata", {})})
