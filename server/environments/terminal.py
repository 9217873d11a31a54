"""Work in a terminal: a folder of files, an instruction, and a hidden script that says whether it was done.

A row can be made of a folder on disk (`row_of_folder`), in the manner of terminal benchmarks::

    task/
      instruction.md      what the model is told
      files/              what is in /workspace when it begins
      tests/test.sh       the hidden script; what else is in this folder it finds below $TESTS
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from server.environment import Environment, Rollout, Session, Verdict
from server.verify.file_values import changed_only
from server.verify.scripts import ScriptVerifier
from server.verify.verdicts import CaseVerdict

SCRIPT = "test.sh"


@attrs.frozen(kw_only=True)
class TerminalTask:
    """A row.

    Attributes:
        test_script: the hidden script, for bash; see `ScriptVerifier`.
        files: path to text, written before the model begins.
        test_files: path to text, hidden, below ``$TESTS`` for the script.
        may_change: patterns of the paths that may be new, different or gone; None for all.
        test_seconds: how long the script may take.
        limits: bounds of the session, by their names in `Limits`; lower than the server's, never higher.
    """

    test_script: str
    files: Mapping[str, str] = {}
    test_files: Mapping[str, str] = {}
    may_change: Sequence[str] | None = None
    test_seconds: float = 300.0
    limits: Mapping[str, float] = {}


class Terminal(Environment[TerminalTask]):
    """Reward 1.0 if the hidden script succeeds over the files that the session left."""

    tools = ("bash", "python", "read_file", "write_file", "edit_file", "list_files")

    def limits(self, task: TerminalTask) -> Mapping[str, float]:
        """Return the row's own."""
        return task.limits

    async def seed_session(self, session: Session, task: TerminalTask) -> None:
        """Write the row's files."""
        for path, text in task.files.items():
            await session.write_file(path, text)

    async def verify(self, rollout: Rollout[TerminalTask]) -> Verdict:
        """Run the script where the session never was."""
        task, state = rollout.task, rollout.final_state
        if task.may_change is not None and not changed_only(state, task.files, task.may_change):
            return Verdict(0.0, {"test_verdict": "forbidden_change"})
        verifier = ScriptVerifier(script=task.test_script, tests=task.test_files, seconds=task.test_seconds)
        result = await verifier.verify(rollout, state)
        is_right = result.verdict is CaseVerdict.PASSED
        return Verdict(float(is_right), {"test_verdict": str(result.verdict), "test_output": result.output})


def row_of_folder(folder: str | Path) -> dict[str, Any]:
    """Return a row made of a task's folder.

    Raises:
        OSError: a part of it is missing or cannot be read.
        UnicodeDecodeError: one of the files is no text.
    """
    folder = Path(folder)
    tests = _texts(folder / "tests")
    instruction = (folder / "instruction.md").read_text("utf-8")
    if SCRIPT not in tests:
        msg = f"{folder} has no tests/{SCRIPT}"
        raise FileNotFoundError(msg)
    return {
        "responses_create_params": {"input": [{"role": "user", "content": instruction}]},
        "files": _texts(folder / "files"),
        "test_script": tests.pop(SCRIPT),
        "test_files": tests,
    }


def _texts(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in paths}
