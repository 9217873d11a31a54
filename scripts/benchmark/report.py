"""From what was measured to a table with the targets beside it, and to a verdict on each."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table

from scripts.benchmark.loads import Throughput
from scripts.benchmark.rounds import Findings
from scripts.quantiles import milliseconds, quantile

FASTER_THAN_BWRAP = {"plain": 3.0, "numpy": 15.0}
WARM_OVER_TRIVIAL = 1.5
PER_CORE = 150.0
IDLE_MB = 1.5

_MB = 1e6
_KINDS = {"plain": "nothing preloaded", "numpy": "numpy"}


@attrs.frozen
class Row:
    """One line of the table.

    Attributes:
        what: was measured.
        value: median, or what else stands for all of it.
        spread: tenth and ninetieth percentile, where there are such.
        ratio: how it compares, in words.
        target: what is to be reached, in words; empty where nothing is.
        met: whether it is; None without a target.
        bound: what a figure that falls short is bounded by.
    """

    what: str
    value: str
    spread: str = ""
    ratio: str = ""
    target: str = ""
    met: bool | None = None
    bound: str = ""


def rows(findings: Findings) -> list[Row]:
    """Return all lines of the table for which something was measured."""
    return [*_first(findings), *_warm(findings), *_throughput(findings), *_idle(findings)]


def show(findings: Findings, console: Console) -> bool:
    """Print the table, what was skipped, and which targets were met; say whether all were."""
    table = Table(
        title=f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    )
    table.add_column("what")
    for heading in ("median", "p10 … p90", "ratio"):
        table.add_column(heading, justify="right", no_wrap=heading != "ratio")
    table.add_column("target", justify="right")
    lines = rows(findings)
    for row in lines:
        mark = {None: "", True: " [green]met[/]", False: " [red]missed[/]"}[row.met]
        table.add_row(row.what, row.value, row.spread, row.ratio, row.target + mark)
    console.print(table)
    for what, reason in findings.skipped.items():
        console.print(f"skipped: {what}: {reason}", highlight=False)
    judged = [row for row in lines if row.met is not None]
    missed = [row for row in judged if not row.met]
    console.print(f"targets met: {len(judged) - len(missed)} of {len(judged)}", highlight=False)
    for row in missed:
        console.print(
            f"missed: {row.what}: {row.value}, {row.ratio}; target {row.target}. {row.bound}", highlight=False
        )
    return not missed


def as_json(findings: Findings) -> dict[str, Any]:
    """Return everything, for a file: the rows, and every sample behind them in seconds."""
    return {
        "machine": {
            "cores": os.cpu_count(),
            "kernel": platform.release(),
            "python": platform.python_version(),
        },
        "rows": [attrs.asdict(row) for row in rows(findings)],
        "skipped": findings.skipped,
        "seconds": dict(findings.samples.seconds),
        "throughput": [attrs.asdict(each) for each in findings.throughputs],
        "idle": [attrs.asdict(each) for each in findings.idle],
        "beside": findings.beside,
    }


def _median(findings: Findings, name: str) -> float:
    return quantile(findings.samples.seconds.get(name, []), 0.5)


def _timed(findings: Findings, what: str, name: str, **more: Any) -> Iterator[Row]:
    values = findings.samples.seconds.get(name, [])
    if values:
        spread = f"{milliseconds(quantile(values, 0.1))} … {milliseconds(quantile(values, 0.9))}"
        yield Row(what, milliseconds(quantile(values, 0.5)), spread, **more)


def _first(findings: Findings) -> Iterator[Row]:
    for kind, words in _KINDS.items():
        yield from _timed(findings, f"python3 -c, cold, {words}", f"cold {kind}")
        yield from _timed(findings, f"bwrap python3 -c, {words}", f"bwrap {kind}")
        for name, way in ((f"below {kind}", "below HTTP"), (f"http {kind}", "through HTTP")):
            compared = _compared(findings, name, kind)
            yield from _timed(findings, f"seed → first result, {way}, {words}", name, **compared)
        yield from _timed(findings, f"  below HTTP, not started ahead, {words}", f"fresh {kind}")
    parts = (("of which starting it", "open fresh plain"), ("of which the posture check", "posture"))
    for what, name in parts:
        share = _median(findings, name) / _median(findings, "fresh plain")
        yield from _timed(findings, f"  {what}", name, ratio=f"{share:.0%} of that")
    own, common = (_median(findings, f"open {way} plain") for way in ("fresh", "shared"))
    compared = {"ratio": f"{own / common:.2f}x as long with ids of their own"}
    yield from _timed(
        findings, "  starting it with the server's own user id", "open shared plain", **compared
    )
    yield from _timed(findings, "kill → gone and captured (finish)", "finish plain")


def _compared(findings: Findings, name: str, kind: str) -> dict[str, Any]:
    ours, cold, bwrap = (_median(findings, each) for each in (name, f"cold {kind}", f"bwrap {kind}"))
    opened, fresh = _median(findings, f"open fresh {kind}"), _median(findings, f"fresh {kind}")
    faster = bwrap / ours
    if math.isnan(faster):
        return {"ratio": f"{cold / ours:.1f}x faster than cold"}
    wanted = FASTER_THAN_BWRAP[kind]
    return {
        "ratio": f"{faster:.1f}x faster than bwrap, {cold / ours:.1f}x than cold",
        "target": f"≥ {wanted:.0f}x bwrap",
        "met": faster >= wanted,
        "bound": (
            f"Started when asked for, starting takes {milliseconds(opened)}, the first call "
            f"{milliseconds(fresh - opened)}: two forks of a Python process, the page faults after them, "
            "mounts, filter and control groups."
        ),
    }


def _warm(findings: Findings) -> Iterator[Row]:
    below, http, trivial = (_median(findings, f"warm {name}") for name in ("below", "http", "trivial"))
    client = _median(findings, "client")
    yield from _timed(findings, "warm call, below HTTP", "warm below")
    yield from _timed(findings, "trivial handler, same Hypercorn", "warm trivial")
    yield from _timed(
        findings,
        "warm call, through HTTP",
        "warm http",
        ratio=f"{http / trivial:.2f}x the trivial handler",
        target=f"≤ {WARM_OVER_TRIVIAL}x",
        met=http <= WARM_OVER_TRIVIAL * trivial,
        bound=f"The trivial handler takes {milliseconds(trivial)}, the call itself {milliseconds(below)}.",
    )
    if findings.samples.seconds.get("client"):
        yield Row("  of both, the client's own time", milliseconds(client))


def _throughput(findings: Findings) -> Iterator[Row]:
    cores = len(os.sched_getaffinity(0))
    for at_once in sorted({each.at_once for each in findings.throughputs}):
        runs = [each for each in findings.throughputs if each.at_once == at_once]
        median = sorted(runs, key=_per_core)[len(runs) // 2]
        busy = median.machine_cpu_seconds / median.seconds
        cpu_ms = 1000 * median.own_cpu_seconds / median.sessions
        yield Row(
            f"sessions per second and core, {at_once} at once",
            f"{median.per_core:.0f}",
            f"{min(map(_per_core, runs)):.0f} … {max(map(_per_core, runs)):.0f}",
            f"{median.sessions / median.seconds:.0f}/s by the clock; {busy:.1f} of {cores} cores busy",
            f"≥ {PER_CORE:.0f}",
            median.per_core >= PER_CORE,
            f"A session takes {cpu_ms:.1f} ms of processor time: server, cage, init and lane together.",
        )


def _per_core(run: Throughput) -> float:
    return run.per_core


def _idle(findings: Findings) -> Iterator[Row]:
    for found in findings.idle:
        what = f"memory per idle session, {_KINDS[found.kind]}, {found.sessions} alive"
        whole = found.available_bytes / found.sessions / _MB
        if found.memory is None:
            yield Row(what, "?", ratio=f"only root may see it; the machine gave {whole:.2f} MB for each")
            continue
        init, lane, private = (
            each / found.sessions / _MB
            for each in (found.memory.inits, found.memory.lanes, found.memory.private)
        )
        other = findings.beside.get(found.kind, math.nan) / _MB
        yield Row(
            what,
            f"{init + lane:.2f} MB PSS",
            ratio=f"{(init + lane) / other:.2f} of bwrap's; init {init:.2f}, lane {lane:.2f}, "
            f"with the kernel's and the server's own {whole:.2f}",
            target=f"≤ {IDLE_MB} MB",
            met=init + lane <= IDLE_MB,
            bound=f"{private:.2f} MB of it are pages that init and lane have written to since their forks.",
        )
    for kind, weight in findings.beside.items():
        yield Row(f"the same of bwrap python3, {_KINDS[kind]}", f"{weight / _MB:.2f} MB PSS")
