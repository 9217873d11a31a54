"""Verifies a tree of files by a hidden test script, run in a fresh sandbox over what was captured.

The session is dead by then: it never saw the script, and nothing of it runs but what the script starts. The
script's exit code is the verdict, so it should end at the first failure (``set -e``), name the programs it
trusts by the toolchain's names (nothing that the session left is in ``PATH``), and run what the session left
behind ``as_candidate``, which keeps it from the tests: otherwise it is their user, and may read them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

import attrs

from sandbox.box import Box
from sandbox.final_state import FinalState
from sandbox.limits import MIB, Limits
from sandbox.observation import Observation, Outcome
from server.verify.boxes import LIMITS, OpensSandboxes, ask
from server.verify.exits import exit_code_of
from server.verify.verdicts import PASSED, CaseResult, CaseVerdict, UnusableTestError
from tools.shapes import is_dict
from tools.transfer import PIECE_BYTES

_SHOWN = 2000
_ROOM_BYTES = 48 * MIB
"""What the message with the script may hold: well below what a frame may."""

_PROGRAM = (b"#!", b"\x7fELF")


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

        Programs (``#!``, ELF) can be executed; of more than some 32 MiB of them, the largest cannot.

        Raises:
            UnusableTestError: the script cannot be run on this machine, or its tests are too long.
            SandboxError: a sandbox could not be had, which is our failure and no verdict.
        """
        tests = {path: text.encode("utf-8", "surrogatepass") for path, text in self.tests.items()}
        room = _ROOM_BYTES - len(json.dumps(self.script)) - sum(_size(*test) for test in tests.items())
        if room < 0:
            msg = f"the script and its tests are longer than {_ROOM_BYTES} bytes"
            raise UnusableTestError(msg)
        along, before = _shared_out(state, room)
        async with opener.open_sandbox(self.limits) as box:
            seen = await _put(box, before, self.limits.call_seconds)
            if seen.outcome is Outcome.OK:
                arguments = {"files": _texts(along), "tests": _texts(tests), "script": self.script}
                seen = await ask(box, "run_script", arguments, self.seconds)
        said = "\n".join(text for text in (seen.stdout[-_SHOWN:], seen.stderr[-_SHOWN:]) if text)
        if seen.outcome is not Outcome.OK or not is_dict(seen.value):
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


def _shared_out(state: FinalState, room: int) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the files that are sent with the script, and those there is no room for, which go before it.

    Programs come first, for only what is sent with the script can be executed.
    """
    files = [(path, captured.data) for path, captured in state.files.items()]
    along: dict[str, bytes] = {}
    for path, data in sorted(files, key=lambda file: (not file[1].startswith(_PROGRAM), len(file[1]))):
        room -= _size(path, data)
        if room >= 0:
            along[path] = data
    return along, {path: data for path, data in files if path not in along}


async def _put(box: Box, files: Mapping[str, bytes], seconds: float) -> Observation:
    """Write files piece by piece; return what came of it, or of the first piece that could not be written."""
    seen = Observation(outcome=Outcome.OK)
    for path, data in files.items():
        for offset in range(0, len(data) or 1, PIECE_BYTES):
            piece = {"path": path, "data": _text(data[offset : offset + PIECE_BYTES])}
            if offset:
                seen = await ask(box, "put_piece", {**piece, "offset": offset}, seconds)
            else:  # makes the folders too
                seen = await ask(box, "write_bytes", piece, seconds)
            if seen.outcome is not Outcome.OK:
                return seen
    return seen


def _size(path: str, data: bytes) -> int:
    """Return what a file takes at most in a message: in base64, its path in escapes."""
    return 4 * len(data) // 3 + 6 * len(path) + 16


def _texts(files: Mapping[str, bytes]) -> dict[str, str]:
    return {path: _text(data) for path, data in files.items()}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
