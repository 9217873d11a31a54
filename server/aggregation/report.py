"""The report itself."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from server.aggregation.columns import describe, numbers_of
from server.aggregation.performance import performance_summary
from server.aggregation.repeats import REPEAT, across, is_across, repeats
from server.errors import InvalidBody
from tools.shapes import is_dict, is_list

if TYPE_CHECKING:
    from server.environment import Environment

TASK = "_ng_task_index"

Reply = Mapping[str, Any]
"""A verify reply, with the task and rollout that it belongs to."""

Tasks = Sequence[Sequence[Reply]]
"""Verify replies by task, in the order of the tasks."""


@attrs.frozen
class Report:
    """What ``/aggregate_metrics`` answers.

    Attributes:
        group_level_metrics: of each task.
        agent_metrics: of the whole run.
        key_metrics: the headlines among them.
        perf_summary: turns, tokens and latency, where they were observed.
        repeat_level_metrics: of each repeat, where there are several.
    """

    group_level_metrics: list[dict[str, Any]] = attrs.field(factory=list[dict[str, Any]])
    agent_metrics: dict[str, Any] = attrs.field(factory=dict[str, Any])
    key_metrics: dict[str, Any] = attrs.field(factory=dict[str, Any])
    perf_summary: dict[str, Any] | None = None
    repeat_level_metrics: list[dict[str, Any]] = attrs.field(factory=list[dict[str, Any]])


def aggregate(environment: Environment[Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report of a run as JSON.

    Args:
        environment: its hooks add to the report.
        body: ``verify_responses``, a list of verify replies.

    Raises:
        InvalidBody: it is something else, or one rollout is there twice.
    """
    report = make_report(environment, _replies(body))
    finite: dict[str, Any] = _finite(attrs.asdict(report, recurse=False))
    return finite


def make_report(environment: Environment[Any], replies: Sequence[Reply]) -> Report:
    """Return the report of a run."""
    if not replies:
        return Report()
    scored = [reply for reply in replies if not reply.get("mask_sample")]
    coverage = _coverage(replies, scored)
    performance = performance_summary(replies)
    if not scored:
        return Report(agent_metrics={**coverage}, key_metrics={**coverage}, perf_summary=performance)
    tasks = by_task(scored)
    groups = [_group(replies_of_task) for replies_of_task in tasks]
    entries = repeats([(*place_of(reply), _numbers(reply)) for reply in scored])
    metrics: dict[str, Any] = describe([_numbers(reply) for reply in scored]) | across(entries) | coverage
    own = {**environment.compute_metrics(tasks)}
    _merge_per_task(groups, own.pop("per_task_metrics", None) or ())
    metrics |= own
    metrics["num_repeats"] = len({place_of(reply)[1] for reply in replies})
    headlines = {**environment.get_key_metrics(metrics)} | coverage
    _replace_by_own(environment, scored, entries, metrics, own)
    return Report(groups, metrics, headlines, performance, entries)


def by_task(replies: Iterable[Reply]) -> list[list[Reply]]:
    """Return the replies of each task, in the order of the tasks."""
    return _grouped(replies, lambda reply: place_of(reply)[0])


def place_of(reply: Reply) -> tuple[int, int]:
    """Return the task and the repeat that a reply belongs to."""
    return reply.get(TASK, 0), reply.get(REPEAT, 0)


def _grouped(replies: Iterable[Reply], key: Callable[[Reply], int]) -> list[list[Reply]]:
    groups: dict[int, list[Reply]] = defaultdict(list)
    for reply in replies:
        groups[key(reply)].append(reply)
    return [groups[index] for index in sorted(groups)]


def _usage(reply: Reply) -> Mapping[str, Any]:
    response = reply.get("response")
    usage = response.get("usage") if is_dict(response) else None
    return usage if is_dict(usage) else {}


def _numbers(reply: Reply) -> dict[str, float]:
    """Return what is counted of a reply: its numbers and those of its token usage."""
    counted = {key: value for key, value in reply.items() if key != "mask_sample"}
    return numbers_of({**counted, **_usage(reply)})


def _group(replies: Sequence[Reply]) -> dict[str, Any]:
    """Return the part of a task, of whose rollouts these are the replies."""
    (task, _), count = place_of(replies[0]), len(replies)
    return {
        **describe([_numbers(reply) for reply in replies]),
        TASK: task,
        "sample": {"agent_ref": {"name": "agent"}},
        "num_rollouts": count,
        "expected_num_rollouts": count,
        "missing_num_rollouts": 0,
        "reward_profile_completion_pct": 100.0,
        "rollout_infos": [_info(reply) for reply in sorted(replies, key=lambda reply: place_of(reply)[1])],
    }


def _info(reply: Reply) -> dict[str, Any]:
    task, index = place_of(reply)
    rewarded = {"reward": reply["reward"]} if "reward" in reply else {}
    rest = {key: value for key, value in reply.items() if key not in {"reward", "mask_sample"}}
    return {
        "rollout_id": f"{task}:{index}",
        TASK: task,
        REPEAT: index,
        **rewarded,
        **numbers_of(_usage(reply)),
        **numbers_of(rest),
    }


def _coverage(replies: Sequence[Reply], scored: Sequence[Reply]) -> dict[str, int]:
    """Say of how much of the run the report speaks; nothing when that is all of it."""
    if len(scored) == len(replies):
        return {}
    tasks, measured = ({place_of(reply)[0] for reply in some} for some in (replies, scored))
    return {
        "coverage/measured_rollouts": len(scored),
        "coverage/masked_rollouts": len(replies) - len(scored),
        "coverage/measured_tasks": len(measured),
        "coverage/fully_masked_tasks": len(tasks - measured),
    }


def _merge_per_task(groups: Iterable[dict[str, Any]], per_task: Iterable[Mapping[str, Any]]) -> None:
    own = {metrics[TASK]: metrics for metrics in per_task}
    for group in groups:
        group.update(own.get(group[TASK], {}))


def _replace_by_own(
    environment: Environment[Any],
    scored: Sequence[Reply],
    entries: Sequence[dict[str, Any]],
    metrics: dict[str, Any],
    own: Mapping[str, Any],
) -> None:
    """Put the environment's own metrics of each repeat in place of those of the same name."""
    if not entries:
        return
    of_repeats = _grouped(scored, lambda reply: place_of(reply)[1])
    computed = [environment.compute_repeat_metrics(by_task(replies)) for replies in of_repeats]
    names = {name for one in computed for name in one}
    if not names:
        return
    for name in names:
        values = [one.get(name) for one in computed]
        is_sound = all(_is_finite(value) for value in (*values, own.get(name, 0)))
        for entry, value in zip(entries, values, strict=True):
            entry.pop(name, None)
            if is_sound and value is not None:
                entry[name] = float(value)
    for name in [name for name in metrics if is_across(name, names)]:
        del metrics[name]
    metrics |= across(entries)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _finite(value: Any) -> Any:
    """Return `value` with null in place of what JSON has no number for."""
    if is_dict(value):
        return {key: _finite(item) for key, item in value.items()}
    if is_list(value):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _replies(body: Mapping[str, Any]) -> list[Reply]:
    """Return the verify replies in a request's body, each of which is known to be an object with a place."""
    replies = body.get("verify_responses")
    loc = ["body", "verify_responses"]
    if not is_list(replies):
        kind, words = (
            ("missing", "Field required")
            if replies is None
            else ("list_type", "Input should be a valid list")
        )
        raise InvalidBody([{"type": kind, "loc": loc, "msg": words, "input": None}])
    seen: set[tuple[int, int]] = set()
    found: list[Reply] = []
    for number, reply in enumerate(replies):
        where = [*loc, number]
        if not is_dict(reply):
            words = "Input should be a valid dictionary"
            raise InvalidBody([{"type": "dict_type", "loc": where, "msg": words, "input": None}])
        for key in (TASK, REPEAT):
            if type(reply.get(key, 0)) is not int:
                words = "Input should be a valid integer"
                raise InvalidBody([{"type": "int_type", "loc": [*where, key], "msg": words, "input": None}])
        if place_of(reply) in seen:
            words = "There is another reply of the same task and rollout"
            raise InvalidBody([{"type": "value_error", "loc": where, "msg": words, "input": None}])
        seen.add(place_of(reply))
        found.append(reply)
    return found
