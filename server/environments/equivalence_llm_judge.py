"""Open questions: a language model says whether the answer is equivalent to the expected one.

The judge is the operator's (settings ``judge_url`` and ``judge_model``). What a comparison of texts can
decide is decided so, and nobody is asked. A row may bring a pattern that takes the answer out of the message
(``template_metadata.output_regex``); when the answer is not equivalent then, the whole message has a second
chance, at half the reward.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from server.environment import Environment, Rollout, Verdict
from server.verify.answers import same_text
from server.verify.judge.equivalence import TEMPLATE, EquivalenceJudge
from server.verify.judge.prompts import Template
from server.verify.patterns import last_match
from tools.shapes import is_dict, is_list


@attrs.frozen(kw_only=True)
class EquivalenceTask:
    """A row.

    Attributes:
        responses_create_params: its last user message is the question, if there is none beside it.
        expected_answer: the right answer.
        question: the question.
        metadata: may hold ``expected_answer``.
        template_metadata: may hold ``output_regex``.
    """

    responses_create_params: Mapping[str, Any] = {}
    expected_answer: str | None = None
    question: str | None = None
    metadata: Mapping[str, Any] | None = None
    template_metadata: Mapping[str, Any] | None = None

    def expected(self) -> str:
        """Return the right answer.

        Raises:
            ValueError: the row has none.
        """
        found = self.expected_answer or (self.metadata or {}).get("expected_answer")
        if not isinstance(found, str) or not found.strip():
            msg = "the row has no expected_answer"
            raise ValueError(msg)
        return found

    def asked(self) -> str:
        """Return the question."""
        return self.question or last_user_text(self.responses_create_params)

    def pattern(self) -> str | None:
        """Return the row's pattern, if it has one."""
        found = (self.template_metadata or {}).get("output_regex")
        return found if isinstance(found, str) else None


class EquivalenceLlmJudge(Environment[EquivalenceTask]):
    """Reward 1.0 if the judge finds the answer equivalent, in both orders.

    Attributes:
        template: what the judge is asked.
        votes: how often.
        swap: whether it must agree with the answers swapped.
        reward_if_swap_fails: when it does not.
        reward_if_rescued: when only the whole message is equivalent.
        longest_extracted: the row's pattern is not used where the expected answer is longer than this.
    """

    stateless = True
    template: ClassVar[Template] = TEMPLATE
    votes: ClassVar[int] = 1
    swap: ClassVar[bool] = True
    reward_if_swap_fails: ClassVar[float] = 0.0
    reward_if_rescued: ClassVar[float] = 0.5
    longest_extracted: ClassVar[int] = 120

    def needs_judge(self) -> bool:
        """Answer yes: few answers are the same text as the expected one."""
        return True

    async def verify(self, rollout: Rollout[EquivalenceTask]) -> Verdict:
        """Compare, and where that says nothing, ask."""
        task, text = rollout.task, rollout.final_text.strip()
        expected, pattern = task.expected(), task.pattern()
        answer, whole = text, None
        if pattern is not None and len(expected) <= self.longest_extracted:
            answer, whole = await last_match(rollout, pattern, text) or "", text
        if not text or same_text(answer, expected):
            reward, evaluations = float(bool(text)), []
        else:
            judge = EquivalenceJudge(
                model=rollout.judge_model,
                template=self.template,
                votes=self.votes,
                swap=self.swap,
                reward_if_swap_fails=self.reward_if_swap_fails,
                reward_if_rescued=self.reward_if_rescued,
            )
            judged = await judge.judge(task.asked(), expected, answer, whole)
            reward, evaluations = judged.reward, judged.evaluations
        return Verdict(reward, {"expected_answer": expected, "judge_evaluations": evaluations})


def last_user_text(params: Mapping[str, Any]) -> str:
    """Return the text of the last user message of a request; empty if there is none."""
    turns = params.get("input")
    if isinstance(turns, str):
        return turns
    for turn in reversed(turns if is_list(turns) else []):
        if is_dict(turn) and turn.get("role") == "user":
            content = turn.get("content")
            parts = content if is_list(content) else [{"text": content}]
            texts = [part.get("text") for part in parts if is_dict(part)]
            return "\n".join(text for text in texts if isinstance(text, str)).strip()
    return ""
