"""NeMo Gym's example of a task in several steps: look up a value per synonym, then hand all of them in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs

from server.environment import Environment, Rollout, Verdict
from tools.registry import tool
from tools.shapes import is_dict, is_list

FINAL_TOOL = "extract_synonym_values"


@attrs.frozen
class SynonymTask:
    """A row: the values to hand in, and the value of the term itself, which is none of its synonyms'."""

    expected_synonym_values: Sequence[int]
    minefield_label_value: int


@tool
def get_synonym_value(state: dict[str, Any], synonym: str) -> dict[str, Any]:
    """Get the synonym value for a synonym."""
    del state
    return {"synonym_value": sum(map(ord, synonym))}


@tool
def extract_synonym_values(state: dict[str, Any], synonym_values: list[int]) -> dict[str, Any]:
    """Extract the synonym values you retrieved for the term that is relevant to the user query."""
    del state, synonym_values
    return {"success": True}


class ExampleMultiStep(Environment[SynonymTask]):
    """Hand in the right values in the right order."""

    tools = (get_synonym_value, extract_synonym_values)

    async def verify(self, rollout: Rollout[SynonymTask]) -> Verdict:
        """Compare the values handed in last with the expected ones."""
        task = rollout.task
        expected, found = list(task.expected_synonym_values), _handed_in(rollout)
        accuracy = found == expected
        # Not by a set of what was found: the model may have chosen numbers whose hashes are all the same.
        overlap = sum(value in found for value in set(expected)) / max(1, len(expected))
        return Verdict(
            reward=float(accuracy),
            fields={
                "parsed_synonym_values": found,
                "accuracy": accuracy,
                "set_overlap": overlap,
                "original_term_minefield_hit": task.minefield_label_value in found,
                "order_instruction_following_failure": not accuracy and overlap == 1.0,
            },
        )


def _handed_in(rollout: Rollout[SynonymTask]) -> list[int]:
    """Return the values handed in last: by a call that we saw, or else by one that the response tells of.

    The response has the calls that the model made even where there is no session to have a log: when a stored
    rollout is verified again.
    """
    for call in reversed(rollout.calls):
        if call.tool == FINAL_TOOL:
            return list(call.arguments.get("synonym_values", ()))  # not there if the log had no room
    output = rollout.response.get("output")
    for item in reversed(output if is_list(output) else []):
        if is_dict(item) and item.get("type") == "function_call" and item.get("name") == FINAL_TOOL:
            return _values(item.get("arguments"))
    return []


def _values(arguments: Any) -> list[int]:
    try:
        values = json.loads(arguments)["synonym_values"]
    except (TypeError, ValueError, KeyError):
        return []
    return values if is_list(values) and all(type(value) is int for value in values) else []
