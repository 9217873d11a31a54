"""Final variables: asked for before the kill, told by the session itself, and never waited for."""

from __future__ import annotations

from typing import Any

import pytest

from server.environment import Environment, Rollout, Verdict
from tests.server.worlds import CountTask, Player, open_game

ROW = {"expected": 42}


class Claiming(Environment[CountTask]):
    """The reward says whether the variable `answer` claims to be the expected number."""

    tools = ("python", "bash")
    final_variables = ("answer", "data")
    final_variables_seconds = 20.0

    async def verify(self, rollout: Rollout[CountTask]) -> Verdict:
        claimed = rollout.claimed
        is_right = type(claimed.get("answer")) is int and claimed.get("answer") == rollout.task.expected
        return Verdict(float(is_right), {"claimed": {name: repr(value) for name, value in claimed.items()}})


class Hasty(Claiming):
    """Does not wait long for those that will not tell."""

    final_variables_seconds = 1.0


async def played(environment: Claiming, *cells: str) -> dict[str, Any]:
    async with open_game(environment) as sessions:
        player = Player(sessions)
        await player.seed(ROW)
        for cell in cells:
            await player.call("python", code=cell)
        return await player.verify(ROW)


async def test_a_variable_is_asked_for_when_the_session_is_verified() -> None:
    verdict = await played(Claiming(), "answer = 41", "answer += 1; data = {(1, 2): {3.0}}; other = 7")
    assert verdict["reward"] == 1.0
    assert verdict["claimed"] == {"answer": "42", "data": "{(1, 2): {3.0}}"}


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "answer = 41",
        "answer = type('A', (int,), {'__eq__': lambda *a: True})(7)",
        "class A:\n    def __eq__(self, other): return True\nanswer = A()",
        "answer = 42.0",
        "import os\nos._exit(0)",
        "import tools.variables as v\nv.plain.dumps = lambda x: __import__('time').sleep(1000)\nanswer = 42",
        "import tools.variables as v\nv.plain.dumps = lambda x: 'nonsense'\nanswer = 42",
        "import tools.variables as v\nv.plain.dumps = lambda x: '[' * 16000\nanswer = 42",
        "import os\nos.kill(os.getppid(), 9)",
        "import threading, os\nthreading.Thread(target=lambda: os.write(1, b'x' * 10**9)).start()",
    ],
    ids=[
        "nothing",
        "wrong",
        "equal to all",
        "an object",
        "a float",
        "gone",
        "slow",
        "junk",
        "deep",
        "kills",
        "floods",
    ],
)
async def test_a_session_that_does_not_tell_claims_nothing(cell: str) -> None:
    verdict = await played(Hasty(), cell)
    assert verdict["reward"] == 0.0
    assert "failure_kind" not in verdict


async def test_nobody_is_asked_where_nothing_is_named() -> None:
    async with open_game() as sessions:
        player = Player(sessions)
        await player.seed({"expected": 0})
        await player.call("python", code="answer = 42")
        assert (await player.verify({"expected": 0}))["reward"] == 1.0
