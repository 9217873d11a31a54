"""Multiple choice: the letter that the final message chose.

A row may bring patterns of its own (``template_metadata.output_regex``). They are tried first, in a sandbox,
because a pattern and a text made for it can take for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs

from server.environment import Environment, Rollout, Verdict
from server.verify.choices import chosen_letter, letter_of
from server.verify.patterns import last_match
from tools.shapes import is_list


@attrs.frozen(kw_only=True)
class McqaTask:
    """A row.

    Attributes:
        options: objects of one letter and its text each.
        expected_answer: the right letter.
        grading_mode: where the letter must stand; see `chosen_letter`.
        template_metadata: may hold ``output_regex``, a pattern or several.
    """

    options: Sequence[Mapping[str, str | None]] | None = None
    expected_answer: str | None = None
    grading_mode: Literal[
        "strict_single_letter_boxed", "lenient_boxed", "lenient_answer_colon", "lenient_answer_colon_md"
    ] = "strict_single_letter_boxed"
    template_metadata: Mapping[str, Any] | None = None

    def letters(self) -> dict[str, str]:
        """Return letter to text."""
        pairs = [pair for option in self.options or () for pair in option.items()]
        return {letter.upper(): text or "" for letter, text in pairs if len(letter) == 1}

    def patterns(self) -> list[str]:
        """Return the row's own patterns."""
        found = (self.template_metadata or {}).get("output_regex")
        return [each for each in (found if is_list(found) else [found]) if isinstance(each, str)]


class Mcqa(Environment[McqaTask]):
    """Reward 1.0 if the chosen letter is the right one."""

    stateless = True

    async def verify(self, rollout: Rollout[McqaTask]) -> Verdict:
        """Find the letter and compare it."""
        task, text = rollout.task, rollout.final_text
        letters, chosen = task.letters(), None
        for pattern in task.patterns():
            found = await last_match(rollout, pattern, text, ignore_case=True)
            chosen = letter_of(found, letters) if found else None
            if chosen:
                break
        chosen = chosen or chosen_letter(text, letters, task.grading_mode)
        gold = (task.expected_answer or "").strip().upper()
        fields = {"extracted_answer": chosen, "expected_answer": gold}
        return Verdict(float(bool(gold) and chosen == gold), fields)
