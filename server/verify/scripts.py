"""Verifies a tree of files by a hidden test script, run in a fresh sandbox over what was captured.

The session is dead by then: it never saw the script, and nothing of it runs but what the script starts. The
script's exit code is the verdict, so it should end at the first failure (``set -e``), name the programs it
trusts by the toolchain's names (nothing that the session left is in ``PATH``), and run what the session left
behind ``as_candidate``, which keeps it from the tests: otherwise it is their user, and may read them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

import attrs

from sandbox.final_state import FinalState
from sandbox.limits import Limits
from sandbox.observation import Outcome
from server.verify.boxes import LIMITS, OpensSandboxes, ask
from server.verify.exits import exit_code_of
from server.verify.json_types import is_object
from server.verify.verdicts import PASSED, CaseResult, CaseVerdict, UnusableTestError

_SHOWN = 2000


@attrs.frozen(kw_only=True)
class ScriptVerifier:
    """Judges a final state by a script.

    Attributes:
        script: for bash; runs in the captured tree.
        tests: path to text, files that it finds below ``$TESTS``.
        seconds: how long it may take, wall clock.
        limits: bounds of its sandbox.
    """

    script: str
    tests: Mapping[str, str] = attrs.field(factory=dict[str, str])
    seconds: float = 300.0
    limits: Limits = LIMITS

    async def verify(self, opener: OpensSandboxes, state: FinalState) -> CaseResult:
        """Run the script over `state`.

        Raises:
            UnusableTestError: the script cannot be run on this machine.
            SandboxError: a sandbox could not be had, which is our failure and no verdict.
        """
        arguments = {
            "files": {path: _text(captured.data) for path, captured in state.files.items()},
            "tests": {
                path: _text(text.encode("utf-8", "surrogatepass")) for path, text in self.tests.items()
            },
            "script": self.script,
        }
        async with opener.open_sandbox(self.limits) as box:
            seen = await ask(box, "run_script", arguments, self.seconds)
        said = "\n".join(text for text in (seen.stdout[-_SHOWN:], seen.stderr[-_SHOWN:]) if text)
        if seen.outcome is not Outcome.OK or not is_object(seen.value):
            verdict = CaseVerdict.of(seen.outcome)
            return CaseResult(verdict=verdict, detail=seen.error or str(seen.outcome), output=said)
        if "unusable" in seen.value:
            raise UnusableTestError(str(seen.value["unusable"])[:_SHOWN])
        if seen.value.get("tampered") != []:
            return CaseResult(verdict=CaseVerdict.ERROR, detail="the tests were changed", output=said)
        code = exit_code_of(seen)
        if code == 0:
            return attrs.evolve(PASSED, output=said)
        return CaseResult(verdict=CaseVerdict.WRONG_ANSWER, detail=f"exit code {code}", output=said)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
