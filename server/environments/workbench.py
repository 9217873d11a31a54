"""Files at seed, tools in between, files at the end: the environment for tasks that are told by a folder."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from sandbox.observation import Ending
from server.environment import Environment, Rollout, Session, Verdict
from server.verify.files import files_match, summary


@attrs.frozen(kw_only=True)
class WorkbenchTask:
    """A row.

    Attributes:
        files: path to text, written before the model begins.
        expected_files: path to the text it must have in the end, or null for a path that must not be there.
        limits: bounds of this session, by their names in `Limits`; lower than the server's, never higher.
    """

    files: Mapping[str, str] = {}
    expected_files: Mapping[str, str | None] = {}
    limits: Mapping[str, float] = {}


class Workbench(Environment[WorkbenchTask]):
    """All the tools, and a reward of 1.0 if the final state matches the expected files."""

    tools = ("python", "bash", "read_file", "write_file", "edit_file", "list_files")

    def limits(self, task: WorkbenchTask) -> Mapping[str, float]:
        """Return the row's own."""
        return task.limits

    async def seed_session(self, session: Session, task: WorkbenchTask) -> None:
        """Write the row's files."""
        for path, text in task.files.items():
            await session.write_file(path, text)

    async def verify(self, rollout: Rollout[WorkbenchTask]) -> Verdict:
        """Compare the final state with the expected files; a row that expects none is never rewarded."""
        state = rollout.final_state
        reward = float(files_match(state, rollout.task.expected_files))
        return Verdict(reward, {"outcome": _OUTCOMES[state.ended_by], "final_state": summary(state)})


_OUTCOMES = {ending: str(ending) for ending in Ending} | {
    Ending.FINISHED: "ok",
    Ending.CLOSED: "ok",
    Ending.SESSION_DEADLINE: "timeout",
    Ending.IDLE_DEADLINE: "timeout",
}
"""How the session ended, in the words that calls have for it."""
