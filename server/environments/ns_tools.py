"""Mathematics with a notebook at hand; the answer is what the last box holds, compared as mathematics.

Answers are compared as texts and numbers, then by the math-verify library in a sandbox (extra ``math``). A
subclass may set `use_judge`: what the library does not find equal is then asked of the operator's language
model.
"""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from sandbox.observation import Observation, Outcome
from sandbox.profile import Profile
from server.environment import Environment, Rollout, Verdict
from server.environments.math_with_code import LIBRARIES
from server.verify.boxed import NESTED, boxed_answer
from server.verify.judge.equivalence import EquivalenceJudge
from server.verify.symbolic import MATH_VERIFIER, symbolically_equal
from tools.cell import Console
from tools.registry import Failed, tool
from tools.shapes import is_dict


@tool(lane="python", streams=True, empty={"result": None})
def stateful_python_code_exec(state: dict[str, Any], code: str) -> dict[str, Any]:
    """Execute Python code in a stateful notebook.

    Variables and imports last from call to call. Answers with what was printed, and with the value of the
    last line if that is an expression.

    Args:
        state: keeps the notebook.
        code: the code to execute.
    """
    console = state.get("console")
    if console is None:
        console = state["console"] = Console()
    ran = console.run(code)
    value = {"result": ran.result}
    if ran.failed:
        raise Failed(value)
    return value


@attrs.frozen(kw_only=True)
class NsToolsTask:
    """A row: the question and the answer."""

    expected_answer: str
    question: str = ""


class NsTools(Environment[NsToolsTask]):
    """Reward 1.0 if the boxed answer equals the expected one.

    Attributes:
        use_judge: whether a language model is asked about what the library does not find equal.
    """

    tools = (stateful_python_code_exec,)
    profile = Profile(name="ns_tools", packages=LIBRARIES, preload=LIBRARIES)
    verifier: ClassVar[Profile | None] = MATH_VERIFIER
    use_judge: ClassVar[bool] = False

    def reply(self, tool: str, observation: Observation) -> Any:
        """Answer as a notebook does: the last value stands below what was printed."""
        del tool  # there is one
        value = observation.value
        result = value.get("result") if is_dict(value) else None
        stdout = observation.stdout + (f"{result}\n" if result is not None else "")
        body = {"process_status": _STATUS.get(observation.outcome, "error"), "stdout": stdout}
        stderr = observation.stderr
        if observation.outcome not in {Outcome.OK, Outcome.ERROR} and observation.error:
            stderr += f"{observation.outcome}: {observation.error}\n"
        if observation.interpreter_reset:
            stderr += "The interpreter was restarted: its variables are gone.\n"
        return {**body, "stderr": stderr}

    def needs_judge(self) -> bool:
        """Answer as it is set."""
        return self.use_judge

    async def verify(self, rollout: Rollout[NsToolsTask]) -> Verdict:
        """Compare the boxed answer with the expected one."""
        task = rollout.task
        answer = boxed_answer(rollout.response, NESTED)
        library = await symbolically_equal(rollout, task.expected_answer, answer) if answer else False
        reward, evaluations = float(library), None
        if self.use_judge and answer and not library:
            judge = EquivalenceJudge(model=rollout.judge_model)
            judged = await judge.judge(task.question, task.expected_answer, answer)
            reward, evaluations = judged.reward, judged.evaluations
        told = {
            "extracted_answer": answer,
            "library_reward": float(library),
            "judge_evaluations": evaluations,
        }
        timeouts = sum(call.observation.outcome is Outcome.TIMEOUT for call in rollout.calls)
        counts = {"num_tool_calls": len(rollout.calls), "tool_timeout_count": timeouts}
        return Verdict(reward, {**told, **counts, "delegated_response": {**told, "reward": reward}})


_STATUS = {Outcome.OK: "completed", Outcome.TIMEOUT: "timeout"}
