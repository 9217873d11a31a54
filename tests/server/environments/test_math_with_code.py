"""Mathematics: the interpreter, the replies, and which answers count."""

from __future__ import annotations

import json
from typing import Any

from scripts.replaying.recording import calls_in, outputs_in
from server.environments.math_with_code import LIBRARIES, MathWithCode
from server.verify.boxed import NESTED
from tests.server.environments.conftest import Player, message, recorded

ROW = {"expected_result": "32", "expected_code_contains": ""}


def cells(*sources: str) -> list[tuple[str, dict[str, Any]]]:
    return [("execute_python", {"code": source}) for source in sources]


async def test_recorded_rollouts_give_the_recorded_rewards(player: Player) -> None:
    rows = {row["responses_create_params"]["input"][-1]["content"]: row for row in recorded("math_with_code")}
    for rollout in recorded("math_with_code.rollouts"):
        row = rows[rollout["responses_create_params"]["input"][-1]["content"]]
        played = await player.play(MathWithCode(), row, response=rollout["response"])
        assert {name: rollout[name] for name in ("extracted_answer", "accuracy")} == played.verdict.fields
        assert rollout["reward"] == played.verdict.reward


async def test_a_recorded_call_gives_the_recorded_reply(player: Player) -> None:
    rollout = recorded("math_with_code.rollouts")[0]
    played = await player.play(MathWithCode(), ROW, calls_in(rollout["response"]))
    assert outputs_in(rollout["response"]) == played.replies


async def test_the_interpreter_stays_open_and_failures_say_why(player: Player) -> None:
    played = await player.play(
        MathWithCode(),
        ROW,
        cells("x = 6 * 7", "print(x)\nx + 1", "1 / 0", "x", "import sys\nprint('e', file=sys.stderr)"),
    )
    assert played.replies[0] == {"stdout": "", "stderr": "", "result": None}
    assert played.replies[1] == {"stdout": "42\n", "stderr": "", "result": "43"}
    assert played.replies[2].pop("stderr").startswith("Traceback")
    assert played.replies[2] == {
        "stdout": "",
        "result": None,
        "error_message": "ZeroDivisionError: division by zero",
    }
    assert played.replies[3]["result"] == "42"
    assert played.replies[4] == {"stdout": "", "stderr": "e\n", "result": None}


async def test_the_libraries_are_there_under_their_usual_names(player: Player) -> None:
    names = {"numpy": "np.arange(3).sum()", "scipy": "scipy.__name__", "pandas": "pd.Series([1, 2]).sum()"}
    sources = [f"print({names[name]})" for name in LIBRARIES if name in names]
    sources += ["import sympy\nprint(sympy.sqrt(8))"] if "sympy" in LIBRARIES else []
    played = await player.play(MathWithCode(), ROW, cells(*sources))
    assert [""] * len(sources) == [reply["stderr"] for reply in played.replies]
    wanted = {"numpy": "3\n", "scipy": "scipy\n", "pandas": "3\n", "sympy": "2*sqrt(2)\n"}
    assert [wanted[name] for name in LIBRARIES] == [reply["stdout"] for reply in played.replies]


async def test_only_a_message_answers_and_only_the_right_one_is_rewarded(player: Player) -> None:
    in_output = {
        "output": [{"type": "function_call_output", "output": json.dumps({"stdout": r"\boxed{32}"})}]
    }
    for response, reward in (
        (message(r"so \boxed{32}"), 1.0),
        (message(r"so \boxed{33}"), 0.0),
        (message("so 32"), 0.0),
        (message(r"\boxed{31} \boxed{32}"), 0.0),
        (in_output, 0.0),
        ({"output": []}, 0.0),
    ):
        played = await player.play(MathWithCode(), ROW, response=response)
        assert reward == played.verdict.reward


async def test_a_subclass_may_count_braces(player: Player) -> None:
    class Braces(MathWithCode):
        answers = NESTED

    row = {"expected_result": r"\(\frac{1}{2}\)"}
    response = message(r"\boxed{\frac{1}{2}}")
    assert (await player.play(Braces(), row, response=response)).verdict.reward == 1.0
    assert (await player.play(MathWithCode(), row, response=response)).verdict.reward == 0.0
