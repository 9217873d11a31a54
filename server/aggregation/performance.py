"""The performance part of a report: turns, tokens and latency, from what rollouts carry as ``ng_perf``.

NeMo Gym puts it there when its observability is switched on. Its standard deviation here is that of the whole
population, other than everywhere else in a report.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from server.aggregation.columns import number, percentile
from tools.shapes import is_dict

_Statistic = Callable[[Sequence[float]], float]

_STATISTICS: Mapping[str, _Statistic] = {
    "mean": statistics.fmean,
    "median": statistics.median,
    "total": sum,
    "std": statistics.pstdev,
    "min": min,
    "max": max,
    "p50": lambda values: percentile(values, 50),
    "p90": lambda values: percentile(values, 90),
    "p99": lambda values: percentile(values, 99),
}
_OF_TOKENS = ("mean", "median", "total")
_OF_TURNS = ("mean", "median", "std", "min", "p90", "max")
_OF_LATENCY = ("p50", "p90", "p99", "mean")


def performance_summary(replies: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
    """Return the summary of all rollouts, masked ones too; None when none of them was observed."""
    records = [record for reply in replies if is_dict(record := reply.get("ng_perf"))]
    if not records:
        return None
    covered = sum(1 for record in records if (number(record.get("token_observability_coverage")) or 0) > 0)
    summary = {
        "overall_observability_coverage": len(records) / len(replies),
        "token_observability_coverage": covered / len(replies),
    }
    for field in ("prompt_tokens", "cached_prompt_tokens", "completion_tokens", "reasoning_tokens"):
        _add(summary, _OF_TOKENS, f"{{}}_{field}", _values(records, field))
    _add(summary, _OF_TURNS, "{}_num_turns", _values(records, "num_turns"))
    ratios = [
        tokens / turns
        for record in records
        if (tokens := number(record.get("completion_tokens"))) is not None
        and (turns := number(record.get("num_turns"))) is not None
        and turns > 0
    ]
    _add(summary, ("mean", "median"), "{}_tokens_per_turn", ratios)
    _add(summary, _OF_LATENCY, "total_latency_{}_ms", _values(records, "total_latency_ms"))
    return summary


def _values(records: Sequence[Mapping[str, Any]], field: str) -> list[float]:
    values = (number(record.get(field)) for record in records)
    return [value for value in values if value is not None]


def _add(summary: dict[str, float], names: Sequence[str], template: str, values: Sequence[float]) -> None:
    if values:
        for name in names:
            try:
                found = _STATISTICS[name](values) if all(map(math.isfinite, values)) else math.nan
            except OverflowError:
                found = math.inf
            summary[template.format(name)] = found
