"""The scripted agent: one rollout, as NeMo Gym's agents make them, with the model's part known beforehand."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs

from scripts.humaneval.problems import Problem
from server.client import AsyncClient, Refused, Unreachable

SOLUTION = "solution.py"


@attrs.define
class Times:
    """Seconds that requests took, by kind."""

    seed: list[float] = attrs.field(factory=list)
    call: list[float] = attrs.field(factory=list)
    verify: list[float] = attrs.field(factory=list)


@attrs.frozen
class Played:
    """What came of a rollout.

    Attributes:
        problem: its name.
        reward: what the verdict says; None when there was none, or one that must not count.
        trouble: what went otherwise than it should, None if nothing did.
    """

    problem: str
    reward: float | None
    trouble: str | None = None


async def play(client: AsyncClient, problem: Problem, source: str, times: Times) -> Played:
    """Play one rollout: seed, write the solution, try it, verify.

    Args:
        client: connected to the server; others may use it meanwhile.
        problem: the row.
        source: the module that the model would have written.
        times: where to note how long each request took.

    Returns:
        What came of it. A connection that fails or an unexpected reply is trouble; neither is raised.
    """
    smoke = f"import solution\nprint(callable(solution.{problem.entry_point}))"
    calls: list[tuple[str, dict[str, Any]]] = [
        ("write_file", {"path": SOLUTION, "content": source}),
        ("python", {"code": smoke}),
    ]
    items: list[dict[str, Any]] = []
    started = time.perf_counter()
    try:
        async with client.session(problem.row()) as session:
            times.seed.append(time.perf_counter() - started)
            for number, (tool, arguments) in enumerate(calls):
                with _measured(times.call):
                    reply = await session.call(tool, **arguments)
                if reply.outcome != "ok" or (tool == "python" and reply.stdout != "True\n"):
                    return Played(problem.name, None, f"{tool} answered {reply.text}")
                items += _items(f"call_{number}", tool, arguments, reply.text)
            with _measured(times.verify):
                verdict = await session.verify(_response(items))
    except (Refused, Unreachable) as error:
        return Played(problem.name, None, f"{type(error).__name__}: {error}")
    if verdict.is_masked:
        return Played(problem.name, None, f"masked: {verdict.failure_kind}: {verdict.failure_reason}")
    return Played(problem.name, verdict.reward)


@contextmanager
def _measured(seconds: list[float]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds.append(time.perf_counter() - started)


def _items(call_id: str, tool: str, arguments: Mapping[str, Any], output: str) -> list[dict[str, Any]]:
    """Return a call and its output as items of a response; the agent keeps the transcript, not the server."""
    return [
        {"type": "function_call", "call_id": call_id, "name": tool, "arguments": json.dumps(arguments)},
        {"type": "function_call_output", "call_id": call_id, "output": output},
    ]


def _response(items: list[dict[str, Any]]) -> dict[str, Any]:
    text = f"The function is in {SOLUTION}."
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
    return {"id": "resp_scripted", "object": "response", "model": "scripted", "output": [*items, message]}
