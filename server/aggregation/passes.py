"""Metrics over several rollouts of a task: pass@k, pass@1[avg-of-k], majority@k; for environments to use.

Scores are numbers; 0 and 1 are read as wrong and right. All results are percentages, under the names that
NeMo Gym gives them, such as ``pass@4/accuracy``.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from server.aggregation.columns import deviation, mean, number

Reply = Mapping[str, Any]
Tasks = Sequence[Sequence[Reply]]
Scorer = Callable[[Reply], Mapping[str, float]]
"""From a verify reply to its scores, by name."""

_DEVIATIONS = ("std_dev_across_runs", "std_err_across_runs", "avg_sample_std_dev")


def accuracy(reply: Reply) -> Mapping[str, float]:
    """Score a reply by its reward."""
    return {"accuracy": reward_of(reply)}


def reward_of(reply: Reply) -> float:
    """Return a reply's reward; 0 if it has none, as of a rollout that never ran."""
    return number(reply.get("reward")) or 0


def pass_metrics(
    tasks: Tasks, score: Scorer = accuracy, answer_key: str | None = None, *, deviations: bool = False
) -> dict[str, Any]:
    """Return the metrics for every k up to the largest number of rollouts of a task.

    Args:
        tasks: verify replies by task.
        score: what a reply is worth.
        answer_key: where the answer is in a reply. With it there are ``majority@k`` and the score
            ``no_answer``.
        deviations: add how much the scores of a task's rollouts deviate, on average.
    """
    scored = [_Task.of(replies, score, answer_key) for replies in tasks]
    longest = max((len(task.scores) for task in scored), default=0)
    names = sorted({name for task in scored for scores in task.scores for name in scores})
    metrics: dict[str, Any] = {}
    for k in range(1, longest + 1):
        for name in names:
            _put(metrics, f"pass@{k}/{name}", [task.passed(name, k) for task in scored])
            _put(metrics, f"pass@1[avg-of-{k}]/{name}", [task.average(name, k) for task in scored])
            if answer_key is not None:
                _put(metrics, f"majority@{k}/{name}", [task.majority(name, k) for task in scored])
    if scored:
        runs = {name: _runs(scored, name, longest) for name in names}
        metrics["per_sample_aggregate"] = {name: values for name, values in runs.items() if values}
        for k in range(2, longest + 1):
            for name in names:
                _put_deviations(metrics, f"pass@1[avg-of-{k}]/{name}", runs[name][:k])
                if deviations:
                    _put_average_deviation(metrics, f"pass@1[avg-of-{k}]/{name}", scored, name, k)
    return metrics


def subset_metrics(
    tasks: Tasks, subset_key: str, score: Scorer = accuracy, answer_key: str | None = None
) -> dict[str, Any]:
    """Return the same of each subset, such as ``easy/pass@1/accuracy``.

    Args:
        tasks: as above.
        subset_key: where in a task's replies its subset is named; tasks without are left out.
        score: as above.
        answer_key: as above.
    """
    subsets: dict[str, list[Sequence[Reply]]] = defaultdict(list)
    for replies in tasks:
        subset = next((value for reply in replies if (value := reply.get(subset_key))), None)
        if isinstance(subset, str):
            subsets[subset].append(replies)
    return {
        f"{subset}/{key}": value
        for subset, members in subsets.items()
        for key, value in pass_metrics(members, score, answer_key).items()
        if key != "per_sample_aggregate"
    }


def highest_k(
    metrics: Mapping[str, Any], pattern: str, names: Iterable[str] | None = None, without: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the metrics of one kind for the largest k that there is.

    Args:
        metrics: all of them.
        pattern: the kind, with ``{k}`` where k stands: ``"pass@{k}"``.
        names: only the scores of these names.
        without: not the scores of these names.
    """
    form = re.compile(re.escape(pattern).replace(r"\{k\}", r"(\d+)") + "/(.+)")
    wanted = None if names is None else set(names)
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    for key, value in metrics.items():
        match = form.fullmatch(key)
        if match is None or match[2].endswith(_DEVIATIONS):
            continue
        if (wanted is None or match[2] in wanted) and match[2] not in set(without):
            found[int(match[1])][key] = value
    return found[max(found)] if found else {}


@attrs.frozen
class _Task:
    """The rollouts of a task: the scores of each, and the answers if they are of interest."""

    scores: Sequence[Mapping[str, float]]
    answers: Sequence[Any]

    @classmethod
    def of(cls, replies: Sequence[Reply], score: Scorer, answer_key: str | None) -> _Task:
        scores = [
            {name: int(value) if isinstance(value, bool) else value for name, value in score(reply).items()}
            for reply in replies
        ]
        if answer_key is None:
            return cls(scores, ())
        answers = [reply.get(answer_key) for reply in replies]
        for one, answer in zip(scores, answers, strict=True):
            one["no_answer"] = int(answer is None)
        return cls(scores, answers)

    def values(self, name: str, k: int | None = None) -> list[float]:
        return [scores[name] for scores in self.scores[:k] if name in scores]

    def passed(self, name: str, k: int) -> float | None:
        """Return the chance that one of k is right; of scores in between, the best of the first k."""
        values = self.values(name)
        if k > len(values):
            return None
        if any(value not in {0, 1} for value in values):
            return max(values[:k])
        wrong = sum(1 for value in values if not value)
        return 1.0 - math.comb(wrong, k) / math.comb(len(values), k)

    def average(self, name: str, k: int) -> float | None:
        values = self.values(name, k)
        return mean(values) if values else None

    def majority(self, name: str, k: int) -> float:
        """Return the score of the most frequent answer; of several that are, their mean."""
        votes = Counter(
            (answer, scores[name])
            for answer, scores in zip(self.answers[:k], self.scores[:k], strict=True)
            if answer is not None and not isinstance(answer, list | dict) and name in scores
        )
        if not votes:
            return 0.0
        most = max(votes.values())
        return mean([value for (_, value), count in votes.items() if count == most])


def _put(metrics: dict[str, Any], key: str, values: Iterable[float | None]) -> None:
    there = [value for value in values if value is not None]
    if there:
        metrics[key] = 100.0 * mean(there)


def _runs(tasks: Iterable[_Task], name: str, longest: int) -> list[float]:
    """Return the mean over the tasks of each run: of their first rollouts, their second ones, and so on."""
    tasks = list(tasks)
    found: list[float] = []
    for run in range(longest):
        values = [task.scores[run][name] for task in tasks if name in (task.scores[run:] or ({},))[0]]
        if values:
            found.append(100.0 * mean(values))
    return found


def _put_deviations(metrics: dict[str, Any], key: str, averages: Sequence[float]) -> None:
    if len(averages) > 1:
        spread = deviation(averages)
        metrics[f"{key}/std_dev_across_runs"] = spread
        metrics[f"{key}/std_err_across_runs"] = spread / math.sqrt(len(averages))


def _put_average_deviation(
    metrics: dict[str, Any], key: str, tasks: Iterable[_Task], name: str, k: int
) -> None:
    spreads = [deviation(values) for task in tasks if len(values := task.values(name, k)) > 1]
    if spreads:
        metrics[f"{key}/avg_sample_std_dev"] = mean(spreads)
