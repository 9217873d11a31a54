"""What NeMo Gym's files hold: dataset rows, and rollouts with the response and the reward that it earned.

Early rollout files repeat of the row no more than the model's input; the row itself stands in the data set
that they were made from, which is looked for beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from server.environments import SHIPPED

Json = dict[str, Any]

_ROLLOUTS = (".rollouts.jsonl", "_rollouts.jsonl")


class UnreadableError(Exception):
    """A file is not what it should be. The message is one sentence that names the place."""


@attrs.frozen
class Recording:
    """One recorded rollout.

    Attributes:
        number: its line, from 1 on.
        task: the last thing that the model was told.
        row: what it was seeded with; None if that is not known.
        note: what there is to say of the row, if anything.
        response: the trajectory.
        reward: what it was worth then; None if it had failed.
    """

    number: int
    task: str
    row: Json | None = attrs.field(repr=False)
    note: str
    response: Json = attrs.field(repr=False)
    reward: float | None


def read_recordings(path: Path, rows: Path | None = None) -> list[Recording]:
    """Return the rollouts in a file.

    Args:
        path: a rollout file, one JSON object a line.
        rows: the data set that they were made from; by default the one beside it, if there is one.

    Raises:
        UnreadableError: see there.
    """
    rows = rows or _rows_beside(path)
    known = {} if rows is None else {user_text(row): row for row in read_lines(rows)}
    return [_recording(number, each, known, path) for number, each in enumerate(read_lines(path), 1)]


def read_lines(path: Path) -> list[Json]:
    """Return a file's objects.

    Raises:
        UnreadableError: see there.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read: {error}"
        raise UnreadableError(msg) from None
    found: list[Json] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            value = json.loads(line) if line.strip() else {}
        except ValueError as error:
            msg = f"{path}, line {number}: no JSON: {error}"
            raise UnreadableError(msg) from None
        if not isinstance(value, dict):
            msg = f"{path}, line {number}: not an object"
            raise UnreadableError(msg)
        found += [value] if value else []
    return found


def environment_for(path: Path) -> str | None:
    """Return the shipped environment that a file's path speaks of, if it speaks of one."""
    for folder in reversed(path.resolve().parent.parts):
        if folder in SHIPPED:
            return folder
    stem = path.name.partition(".")[0].removesuffix("_rollouts")
    found = [name for name in SHIPPED if stem and stem in name]
    return found[0] if len(found) == 1 else None


def user_text(row: Mapping[str, Any]) -> str:
    """Return the last thing that the model was told before it began."""
    told = row.get("responses_create_params", {}).get("input", "")
    last = told[-1].get("content", "") if isinstance(told, list) and told else told
    if isinstance(last, list):  # of parts, whose keys have another order in rollouts than in rows
        return "".join(str(part.get("text", "")) for part in last)
    return str(last)


def calls_in(response: Mapping[str, Any]) -> list[tuple[str, Json]]:
    """Return the calls of a response that an agent would have sent: their arguments are JSON objects."""
    return [(name, arguments) for name, arguments, _ in exchanges_in(response)]


def outputs_in(response: Mapping[str, Any]) -> list[Any]:
    """Return what the tools answered in a response, parsed."""
    return [json.loads(item["output"]) for item in _items(response, "function_call_output")]


def exchanges_in(response: Mapping[str, Any]) -> list[tuple[str, Json, str | None]]:
    """Return each call with the text of its output, None where there is none."""
    outputs = {item.get("call_id"): item.get("output") for item in _items(response, "function_call_output")}
    found: list[tuple[str, Json, str | None]] = []
    for item in _items(response, "function_call"):
        try:
            arguments = json.loads(item["arguments"])
        except ValueError:
            continue  # the agent told the model so, and no server heard of it
        if isinstance(arguments, dict):
            found.append((item["name"], arguments, outputs.get(item.get("call_id"))))
    return found


def _items(response: Mapping[str, Any], kind: str) -> Iterable[Json]:
    return (item for item in response.get("output", ()) if item.get("type") == kind)


def failed_case(rollout: Mapping[str, Any]) -> Json | None:
    """Return a row with the one case that a verdict of `code_gen` tells of: that which the program failed."""
    told = rollout.get("metadata")
    if not isinstance(told, dict) or not {"inputs", "expected"} <= told.keys():
        return None
    return {"verifier_metadata": {"unit_tests": {"inputs": [told["inputs"]], "outputs": [told["expected"]]}}}


def _recording(number: int, rollout: Json, known: Mapping[str, Json], path: Path) -> Recording:
    response, reward = rollout.get("response"), rollout.get("reward")
    if not isinstance(response, dict) or not isinstance(reward, int | float):
        msg = f"{path}, line {number}: no rollout: it has no response, or no reward"
        raise UnreadableError(msg)
    has_failed = rollout.get("mask_sample") or rollout.get("_ng_failure_class")
    row, source = _row_of(rollout, known)
    return Recording(number, user_text(rollout), row, source, response, None if has_failed else float(reward))


def _row_of(rollout: Json, known: Mapping[str, Json]) -> tuple[Json | None, str]:
    """Return a rollout's row, and what is to be said of where it is from."""
    row = known.get(user_text(rollout))
    if row is not None:
        return row, ""
    own = {key: value for key, value in rollout.items() if key not in {"response", "reward"}}
    if all(each.keys() <= own.keys() for each in known.values()):
        return own, ""
    row = failed_case(rollout)
    if row is not None:
        return row | {
            "responses_create_params": rollout.get("responses_create_params", {})
        }, "one case of its row"
    return None, "its row is in neither file"


def _rows_beside(path: Path) -> Path | None:
    for ending in _ROLLOUTS:
        rows = path.with_name(path.name.removesuffix(ending) + ".jsonl")
        if path.name.endswith(ending) and rows.is_file():
            return rows
    return None


def differing(texts: Sequence[tuple[str, str | None]]) -> int:
    """Return how many replies are not as recorded, compared as JSON where both are."""
    return sum(recorded is not None and _value(told) != _value(recorded) for told, recorded in texts)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
