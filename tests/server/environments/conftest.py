"""Plays rollouts without HTTP: a real sandbox, an environment, and a script of what the model does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from sandbox.launcher import Launcher, open_launcher
from scripts.replaying.recording import read_lines
from server.environment import Environment, Rollout, Session, Verdict
from server.http.shapes import structure
from server.sessions.claims import ask_for_variables
from server.verify import VERIFIER
from server.verify.judge.model import JudgeModel

GYM = Path(__file__).parents[4] / "shared" / "gym"
"""NeMo Gym's rows and recorded rollouts, beside this repository where it has them."""


@attrs.frozen
class Played:
    """What came of a rollout."""

    replies: Sequence[Any]
    verdict: Verdict


@attrs.frozen
class Player:
    """Plays rollouts of any environment."""

    launcher: Launcher

    async def play(
        self,
        environment: Environment[Any],
        row: Mapping[str, Any],
        calls: Sequence[tuple[str, Mapping[str, Any]]] = (),
        text: str = "",
        response: Mapping[str, Any] | None = None,
        judge_model: JudgeModel | None = None,
    ) -> Played:
        """Seed, call tools in order, end the session, and judge it with `text` for the last message."""
        toolbox = environment.toolbox
        profile = toolbox.equip(environment.profile)
        task = structure(row, environment.task_type())
        limits = profile.limits.lowered(environment.limits(task))
        replies: list[Any] = []
        async with self.launcher.open_sandbox(profile, limits) as box:
            await environment.seed_session(Session("s", limits, box), task)
            for name, arguments in calls:
                assert [] == toolbox.tools[name].problems(arguments)
                replies.append(environment.reply(name, await box.call(name, arguments)))
            names, seconds = environment.final_variables, environment.final_variables_seconds
            claims = await ask_for_variables(box, names, seconds) if names else {}
            state = attrs.evolve(await box.finish(), claims=claims)
        logged = tuple(call for call in state.calls if ":" not in call.tool)
        rollout: Rollout[Any] = Rollout(
            task=task,
            response=message(text) if response is None else response,
            final_state=attrs.evolve(state, calls=logged),
            launcher=self.launcher,
            verifier=environment.verifier or VERIFIER,
            judge_model=judge_model,
        )
        return Played(replies, await environment.verify(rollout))


def search_for(secret: str) -> str:
    """Return a cell that says whether `secret` is in the session: its processes, its files, its memory."""
    return f"""
import gc, glob, os
backwards = {secret[::-1]!r}  # or this would find itself
found = [repr(each) for each in gc.get_objects() if isinstance(each, (dict, list, tuple))]
for name in glob.glob("/proc/[0-9]*/*") + [
    os.path.join(folder, file)
    for top in ("/workspace", "/tmp", "/dev/shm", "/etc", "/run", "/var", "/home", "/root", "/opt/creche")
    for folder, _, files in os.walk(top)
    for file in files
]:
    try:
        found.append(open(name, "rb").read(1_000_000).decode("utf-8", "replace"))
    except OSError:
        pass
any(backwards[::-1] in each for each in found)
"""


def message(text: str) -> dict[str, Any]:
    """Return a response whose only message is `text`."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"output": [{"type": "message", "role": "assistant", "content": content}]}


def recorded(name: str) -> list[dict[str, Any]]:
    """Return a file of the recorded ones, as one value per line."""
    path = GYM / f"{name}.jsonl"
    if not path.is_file():
        pytest.skip(f"NeMo Gym's recorded data is not at {GYM}")
    return read_lines(path)


@pytest.fixture(name="player")
async def _player() -> AsyncIterator[Player]:
    async with open_launcher() as launcher:
        yield Player(launcher)
