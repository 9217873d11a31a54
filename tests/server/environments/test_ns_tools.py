r"""Mathematics with a notebook: its replies, its state, and equal answers."""

from __future__ import annotations

from typing import Any

from server.environments.ns_tools import NsTools
from server.verify.judge.equivalence import EQUAL
from tests.server.environments.conftest import Player
from tests.server.verify.judge.endpoint import judge_at, open_endpoint, says

ROW = {
    "id": "aime25-0",
    "question": "Find the sum of all such bases.",
    "expected_answer": "70",
    "verifier_type": "math_with_judge",
}


def run(code: str) -> tuple[str, dict[str, Any]]:
    return "stateful_python_code_exec", {"code": code}


async def test_the_notebook_keeps_its_state_and_answers_like_one(player: Player) -> None:
    cells = [run("x = [21, 49]"), run("print('hi')\nx"), run("1 / 0")]
    played = await player.play(NsTools(), ROW, cells, text=r"\boxed{70}")
    first, second, third = played.replies
    assert first == {"process_status": "completed", "stdout": "", "stderr": ""}
    assert second == {"process_status": "completed", "stdout": "hi\n[21, 49]\n", "stderr": ""}
    assert "error" == third["process_status"]
    assert "ZeroDivisionError" in third["stderr"]
    assert played.verdict.reward == 1.0
    assert (3, 0) == tuple(played.verdict.fields[name] for name in ("num_tool_calls", "tool_timeout_count"))
    assert played.verdict.fields["delegated_response"]["reward"] == 1.0


ANSWERS = [
    ("70", r"\boxed{70.0}", 1.0),
    (r"\frac{1}{2}", r"\boxed{0.5}", 1.0),
    ("x^2+x", r"so \boxed{x(x+1)}", 1.0),
    ("70", "70", 0.0),
    ("70", r"\boxed{70} no: \boxed{71}", 0.0),
    ("70", r"\boxed{69, 70, 71}", 0.0),
    ("70", "", 0.0),
]


async def test_equal_is_what_mathematics_says(player: Player) -> None:
    for expected, text, reward in ANSWERS:
        played = await player.play(NsTools(), {**ROW, "expected_answer": expected}, text=text)
        assert reward == played.verdict.reward, text
    # What a tool printed is no answer.
    played = await player.play(NsTools(), ROW, [run(r"print(r'\boxed{70}')")], text="see above")
    assert played.verdict.reward == 0.0


class Judging(NsTools):
    use_judge = True


async def test_a_judge_can_be_asked_about_the_rest(player: Player) -> None:
    async with open_endpoint(says(EQUAL)) as endpoint:
        model = judge_at(endpoint)
        played = await player.play(Judging(), ROW, text=r"\boxed{seventy}", judge_model=model)
        assert (1.0, 0.0) == (played.verdict.reward, played.verdict.fields["library_reward"])
        await player.play(Judging(), ROW, text=r"\boxed{70}", judge_model=model)
        assert 2 == len(endpoint.asked)
