"""Write a program or a function; judged by tests that the session never sees.

The solution is ``/workspace/solution.py`` if the session left one, else the last fenced code block of the
last assistant message. The tests come in one of four forms, each with its verifier:

* LiveCodeBench's: ``inputs`` and ``outputs``, of a program, or with ``fn_name`` of a function;
* HumanEval's: ``test``, source that defines ``check(candidate)``, with ``entry_point`` and ``prompt``;
* BigCodeBench's: ``test``, source with classes of unittest, ``entry_point`` and ``code_prompt``. These run in
  the solution's own process, and the reply says so (``verification_mode``);
* MBPP's: ``asserts``, a list of assert statements.

They are looked for in the row's ``verifier_metadata.unit_tests``, then in ``verifier_metadata``, then in the
row itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs

from server.aggregation import passes
from server.apart import LONG_BYTES, apart
from server.environment import Environment, Rollout, Session, Verdict
from server.environments.code_tests import CodeTests, check_packed, is_packed, read_tests
from server.verify.extraction import last_code_block
from server.verify.verdicts import CaseResult, CaseVerdict, Report
from tools.shapes import is_dict

SOLUTION = "solution.py"

CODES: dict[CaseVerdict, int | bool] = {
    CaseVerdict.PASSED: True,
    CaseVerdict.WRONG_ANSWER: -2,
    CaseVerdict.TIMEOUT: -3,
    CaseVerdict.OUT_OF_MEMORY: -4,
    CaseVerdict.ERROR: -4,
}
"""LiveCodeBench's numbers for how a case went."""

_MESSAGES = {CaseVerdict.TIMEOUT: "Time Limit Exceeded", CaseVerdict.OUT_OF_MEMORY: "Memory Limit Exceeded"}
_SHOWN = 300


@attrs.frozen(kw_only=True)
class CodeGenTask:
    """A row. Which fields are there depends on the form of its tests."""

    verifier_metadata: Mapping[str, Any] | None = None
    test: str | None = None
    entry_point: str | None = None
    prompt: str | None = None
    code_prompt: str | None = None
    asserts: Sequence[str] | None = None

    def tests(self) -> CodeTests:
        """Return the row's tests.

        Raises:
            ValueError: it has none, or they have none of the forms above.
        """
        for holder in self._holders():
            tests = read_tests(holder)
            if tests is not None:
                return tests
        msg = "the row has no tests: neither inputs and outputs, nor test and entry_point, nor asserts"
        raise ValueError(msg)

    async def tests_apart(self) -> CodeTests:
        """Return the same; unpacks long ones while others are served."""
        return await apart(LONG_BYTES if self._packed() else 0, self.tests)

    def check(self) -> None:
        """See that the row has tests; of packed ones, that they begin as such do. Raises as `tests`."""
        packed = self._packed()
        if packed is None:
            self.tests()
        else:
            check_packed(packed)

    def _holders(self) -> list[Mapping[str, Any]]:
        metadata = self.verifier_metadata or {}
        holders = (metadata.get("unit_tests"), metadata, attrs.asdict(self, recurse=False))
        return [holder for holder in holders if is_dict(holder)]

    def _packed(self) -> Mapping[str, Any] | None:
        return next((holder for holder in self._holders() if is_packed(holder)), None)


class CodeGen(Environment[CodeGenTask]):
    """Reward 1.0 if there are tests and the solution passes all of them."""

    tools = ("python", "bash", "read_file", "write_file", "edit_file", "list_files")
    solution_file: ClassVar[str] = SOLUTION

    async def seed_session(self, session: Session, task: CodeGenTask) -> None:
        """Write nothing, but find out now if the row's tests cannot be used."""
        del session
        task.check()

    async def verify(self, rollout: Rollout[CodeGenTask]) -> Verdict:
        """Run the tests on the solution, in sandboxes of their own."""
        text = rollout.final_text
        fields: dict[str, Any] = {"extracted_model_output": text} if text.strip() else {}
        difficulty = (rollout.task.verifier_metadata or {}).get("difficulty")
        if difficulty is not None:
            fields["difficulty"] = difficulty
        source = self._solution(rollout)
        if source is None or not source.strip():
            return Verdict(0.0, fields)
        tests = await rollout.task.tests_apart()
        report = await tests.verify(rollout, source)
        fields |= {"extracted_model_code": source, "verification_mode": report.mode, **_told(tests, report)}
        return Verdict(float(report.passed), fields)

    def compute_metrics(self, tasks: passes.Tasks) -> Mapping[str, Any]:
        """Add pass@k, its averages and majorities, of all tasks and of each difficulty."""
        answer = "extracted_model_code"
        subsets = passes.subset_metrics(tasks, "difficulty", _passed, answer)
        return passes.pass_metrics(tasks, _passed, answer, deviations=True) | subsets

    def get_key_metrics(self, agent_metrics: Mapping[str, Any]) -> Mapping[str, Any]:
        """Show the tokens used and, for the largest k, how many tasks were solved."""
        found = {
            key: agent_metrics[key]
            for key in ("mean/input_tokens", "mean/output_tokens")
            if key in agent_metrics
        }
        for kind in ("pass@1[avg-of-{k}]", "pass@{k}", "majority@{k}"):
            found |= passes.highest_k(agent_metrics, kind, ["accuracy"])
        subsets = {
            key.partition("/pass@")[0] for key in agent_metrics if "/pass@" in key and key[0].islower()
        }
        for subset in sorted(subsets):
            found |= passes.highest_k(agent_metrics, subset + "/pass@1[avg-of-{k}]", ["accuracy"])
        return found

    def _solution(self, rollout: Rollout[CodeGenTask]) -> str | None:
        if self.solution_file in rollout.final_state.files:
            return rollout.final_state.text(self.solution_file)
        return last_code_block(rollout.final_text)


def _passed(reply: Mapping[str, Any]) -> Mapping[str, float]:
    return {"accuracy": float(passes.reward_of(reply) > 0)}


def _told(tests: CodeTests, report: Report) -> dict[str, Any]:
    """Return what the reply says of the cases, as NeMo Gym's own server does."""
    told: dict[str, Any] = {"result": [CODES[result.verdict] for result in report.results], "metadata": {}}
    last = report.results[-1]
    if last.verdict is not CaseVerdict.PASSED:
        seen = {"output": last.output} if last.verdict is CaseVerdict.WRONG_ANSWER else {"error": last.detail}
        texts = {**seen, **tests.case(len(report.results) - 1)}
        told["metadata"] = {key: _shortened(text) for key, text in texts.items()} | {
            "error_code": CODES[last.verdict],
            "error_message": _message(last),
        }
    return told


def _message(result: CaseResult) -> str:
    if result.verdict is CaseVerdict.WRONG_ANSWER:
        return result.detail
    return _MESSAGES.get(result.verdict, "Runtime Error")


def _shortened(text: str) -> str:
    if len(text) <= _SHOWN:
        return text
    return f"{text[: _SHOWN // 2]}...(truncated) ...{text[-_SHOWN // 2 :]}"
