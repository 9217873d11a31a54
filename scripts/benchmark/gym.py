"""``scripts/bench gym``: NeMo Gym's own servers and Creche side by side, in one run.

Both play the same rollouts for the same clients, in turns, so that a noisy minute hits both. The client runs
on the same machine and takes its share of the cores. Beside them stands the floor: what our stack takes for
as many requests and a process tree when nothing is done in either.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import attrs
import click
import trio
from rich.console import Console
from rich.table import Table

from scripts.benchmark import floor
from scripts.benchmark.gym_load import WORKLOADS, Cell, WrongReplyError, measure
from scripts.benchmark.gym_servers import open_nemo_gym
from scripts.child_server import ChildServer, ServerFailedError, creche_serve, open_server
from scripts.nemo_gym_home import VERSION, CannotBeMadeError, Home, home
from scripts.quantiles import milliseconds

CONNECTIONS = (1, 16, 256)
_FLOORED = "example_session_state_mgmt"
"""The workload in which the servers themselves do next to nothing."""

_FLOOR = "Hypercorn alone"
_WARMING_SECONDS = 1.0
_MIB = 1024 * 1024


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seconds", default=5.0, show_default=True, help="How long each measurement takes.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write them there too.")
def main(seconds: float, file: Path | None) -> None:
    """Measure NeMo Gym's own servers beside Creche: requests per second, CPU, latency, memory."""
    console = Console()
    try:
        cells = trio.run(_measure_all, home(), seconds, console)
        tree = trio.run(floor.measure_trees)
    except (CannotBeMadeError, ServerFailedError, WrongReplyError) as error:
        click.echo(f"bench: {error}", err=True)
        sys.exit(1)
    console.print(_table(cells))
    console.print(
        f"{_FLOOR}: the same requests with nothing behind them. A process tree in namespaces of its own that "
        f"does nothing, made, killed and reaped: {milliseconds(tree)} of CPU."
    )
    one, five, fifteen = os.getloadavg()
    console.print(f"{os.cpu_count()} cores; load average {one:.1f}, {five:.1f}, {fifteen:.1f}")
    if file is not None:
        file.write_text(json.dumps([attrs.asdict(cell) for cell in cells], indent=1) + "\n", encoding="utf-8")


async def _measure_all(place: Home, seconds: float, console: Console) -> list[Cell]:
    cells: list[Cell] = []
    for workload in WORKLOADS:
        async with AsyncExitStack() as stack:
            console.print(f"starting both servers of {workload.name}")
            servers: dict[str, ChildServer] = {
                f"NeMo Gym {VERSION}": await stack.enter_async_context(open_nemo_gym(place, workload.name)),
                "Creche": await stack.enter_async_context(open_server(creche_serve(workload.name))),
            }
            if workload.name == _FLOORED:
                servers[_FLOOR] = await stack.enter_async_context(open_server(floor.http_command()))
            for connections in CONNECTIONS:
                for name, server in servers.items():
                    console.print(f"{workload.name}, {connections} connections: {name}")
                    if connections == CONNECTIONS[0]:  # the first requests find nothing in any cache
                        await measure(workload, name, server.url, server.pid, 1, _WARMING_SECONDS)
                    cells.append(await measure(workload, name, server.url, server.pid, connections, seconds))
    return cells


def _table(cells: Sequence[Cell]) -> Table:
    table = Table(title="NeMo Gym's own servers and Creche: seed, two calls, verify")
    for heading in ("workload", "connections", "server", "requests/s", "CPU per request", "p99", "memory"):
        table.add_column(heading, justify="left" if heading in {"workload", "server"} else "right")
    for cell, following in itertools.zip_longest(cells, cells[1:]):
        memory = "?" if cell.memory_bytes is None else f"{cell.memory_bytes / _MIB:.0f} MiB"
        table.add_row(
            cell.workload,
            str(cell.connections),
            cell.server,
            f"{cell.requests / cell.seconds:.0f}",
            milliseconds(cell.cpu_seconds / cell.requests),
            milliseconds(cell.p99_seconds),
            memory,
            end_section=following is None or following.connections != cell.connections,
        )
    return table


if __name__ == "__main__":
    main()
