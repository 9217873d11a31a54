"""Rows and responses in the shape in which NeMo Gym's own servers have theirs, and the rewards they earn.

The texts are made up here. What NeMo Gym ships in its `resources_servers/*/data` was replayed by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from server.environment import Environment
from server.environments.bigcodebench import Bigcodebench
from server.environments.equivalence_llm_judge import EquivalenceLlmJudge
from server.environments.mcqa import Mcqa
from server.environments.ns_tools import NsTools
from server.environments.string_match import StringMatch
from server.environments.text_to_sql import TextToSql
from server.verify.judge.equivalence import DIFFERENT, EQUAL
from server.verify.verdicts import UnusableTestError
from tests.server.environments.conftest import Player
from tests.server.verify.judge.endpoint import judge_at, open_endpoint, says


def row(question: str, /, **fields: Any) -> dict[str, Any]:
    """Return a row with what NeMo Gym's rows have beside the fields that a server uses."""
    beside = {"uuid": "0", "agent_ref": {"type": "responses_api_agents", "name": "simple"}, "id": "x-0"}
    return {"responses_create_params": {"input": [{"role": "user", "content": question}]}, **beside, **fields}


def response(text: str) -> dict[str, Any]:
    """Return a response as model servers give it: reasoning first, and many nulls."""
    content = [{"annotations": [], "text": text, "type": "output_text", "logprobs": []}]
    message = {"id": "m", "content": content, "role": "assistant", "status": "completed", "type": "message"}
    reasoning = {"id": "r", "summary": [{"text": "Answer: B \\boxed{B}", "type": "summary_text"}]}
    output = [{**reasoning, "type": "reasoning", "encrypted_content": None}, message]
    return {"id": "resp", "created_at": 1.0, "error": None, "metadata": None, "output": output, "tools": []}


def template(pattern: str) -> dict[str, Any]:
    return {
        "template_id": "t",
        "template_prompt": "…",
        "output_regex": pattern,
        "weight": 1,
        "prompt_type": "p",
    }


OPTIONS = [{"A": "Iron"}, {"B": "Neon: a gas"}, {"C": "Gold"}, {"D": None}]
CLASSES = (
    "import unittest\nimport os\nclass TestCases(unittest.TestCase):\n"
    "    def test_case_1(self):\n        self.assertEqual(task_func('b/a'), 'a')\n"
    "    def test_case_2(self):\n        self.assertEqual(os.sep, '/')\n        task_func('x')\n"
)
METADATA = {"task_id": "Own/1", "entry_point": "task_func", "split": "hard", "test": CLASSES}
CODE = "Sure:\n```python\nimport os\ndef task_func(path):\n    return {}\n```\nDone."
CASES: dict[str, tuple[Environment[Any], Mapping[str, Any], str, float]] = {
    "boxed letter": (
        Mcqa(),
        row("?", options=OPTIONS, expected_answer="B", grading_mode="strict_single_letter_boxed"),
        "\\[\\boxed{\\text{B}}\\]",
        1.0,
    ),
    "boxed letter with its text": (
        Mcqa(),
        row("?", options=OPTIONS, expected_answer="B"),
        "\\boxed{\nB: Neon: a gas\n}",
        1.0,
    ),
    "two boxed letters": (Mcqa(), row("?", options=OPTIONS, expected_answer="B"), "\\boxed{B, C}", 0.0),
    "another letter last": (
        Mcqa(),
        row("?", options=OPTIONS, expected_answer="B"),
        "\\boxed{B} no, \\boxed{C}",
        0.0,
    ),
    "a pattern": (
        Mcqa(),
        row(
            "?",
            options=OPTIONS,
            expected_answer="B",
            template_metadata=template(r"Option Selected:\s*([A-Za-z])\s*"),
            reward_profiles=[{"model_hf_path": "m", "num_generations": 8, "pass_rate": 0.5}],
        ),
        "option selected: b",
        1.0,
    ),
    "boxed text": (
        StringMatch(),
        row("?", expected_answer="Lima", extraction_mode="boxed", case_sensitive=False),
        "It is \\boxed{lima}.",
        1.0,
    ),
    "mathematics": (
        NsTools(),
        row("?", question="q", expected_answer="70", verifier_type="math_with_judge", subset_for_metrics="s"),
        "So $\\boxed{70}$",
        1.0,
    ),
    "other mathematics": (NsTools(), row("?", question="q", expected_answer="70"), "$\\boxed{-70}$", 0.0),
    "classes": (
        Bigcodebench(),
        row("?", verifier_metadata={**METADATA, "code_prompt": "import os\ndef task_func(path):\n"}),
        CODE.format("os.path.basename(path)"),
        1.0,
    ),
    "other classes": (
        Bigcodebench(),
        row("?", verifier_metadata={**METADATA, "code_prompt": "import os\ndef task_func(path):\n"}),
        CODE.format("path"),
        0.0,
    ),
}


@pytest.mark.parametrize(("environment", "fields", "text", "reward"), CASES.values(), ids=CASES)
async def test_a_rollout_earns_what_it_earns_there(
    player: Player, environment: Environment[Any], fields: Mapping[str, Any], text: str, reward: float
) -> None:
    played = await player.play(environment, fields, response=response(text))
    assert reward == played.verdict.reward


@pytest.mark.parametrize(("label", "reward"), [(EQUAL, 1.0), (DIFFERENT, 0.0)])
async def test_what_a_judge_decides_is_told_with_the_same_fields(
    player: Player, label: str, reward: float
) -> None:
    postgres = {"sql_dialect": "postgresql", "sql_context": "CREATE TABLE t (a SERIAL)", "sql_prompt": "all?"}
    fields = {"model_output", "extracted_sql", "judge_passed", "judge_evaluations"}
    async with open_endpoint(says(label)) as endpoint:
        judge = judge_at(endpoint)
        sql = await player.play(
            TextToSql(),
            row("?", sql="SELECT a FROM t", **postgres),
            response=response("```sql\nSELECT t.a FROM t\n```"),
            judge_model=judge,
        )
        answer = await player.play(
            EquivalenceLlmJudge(),
            row("Who?", expected_answer="Ada", template_metadata=template(r"\(\((.*?)\)\)")),
            response=response("It was ((Ada Lovelace))"),
            judge_model=judge,
        )
    assert (reward, True) == (sql.verdict.reward, fields <= sql.verdict.fields.keys())
    assert bool(reward) is sql.verdict.fields["judge_passed"]
    assert (reward, "Ada") == (answer.verdict.reward, answer.verdict.fields["expected_answer"])


async def test_a_row_whose_prompt_needs_a_library_that_is_not_here_is_no_verdict(player: Player) -> None:
    metadata = {**METADATA, "code_prompt": "import os\nimport no_such_library\ndef task_func(path):\n"}
    with pytest.raises(UnusableTestError, match="no_such_library"):
        await player.play(
            Bigcodebench(), row("?", verifier_metadata=metadata), response=response(CODE.format("path"))
        )
