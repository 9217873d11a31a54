"""The scripted agent: one rollout, as NeMo Gym's agents make them, with the model's part known beforehand."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import attrs
import httpx

from scripts.humaneval.problems import Problem

SOLUTION = "solution.py"
TIMEOUT_SECONDS = 900.0


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


class _UnexpectedReplyError(Exception):
    pass


async def play(client: httpx.AsyncClient, problem: Problem, source: str, times: Times) -> Played:
    """Play one rollout: seed, write the solution, try it, verify.

    Args:
        client: with the server's URL and an empty cookie jar; nobody else may use it meanwhile.
        problem: the row.
        source: the module that the model would have written.
        times: where to note how long each request took.

    Returns:
        What came of it. A connection that fails or an unexpected reply is trouble; neither is raised.
    """
    row = problem.row()
    smoke = f"import solution\nprint(callable(solution.{problem.entry_point}))"
    calls: list[tuple[str, dict[str, Any]]] = [
        ("write_file", {"path": SOLUTION, "content": source}),
        ("python", {"code": smoke}),
    ]
    try:
        await _post(client, "/seed_session", row, times.seed)
        items: list[dict[str, Any]] = []
        for number, (tool, arguments) in enumerate(calls):
            reply = await _post(client, f"/{tool}", arguments, times.call)
            if reply.get("outcome") != "ok" or (tool == "python" and reply.get("stdout") != "True\n"):
                return Played(problem.name, None, f"{tool} answered {reply}")
            items += _items(f"call_{number}", tool, arguments, reply)
        verdict = await _post(client, "/verify", {**row, "response": _response(items)}, times.verify)
    except (httpx.HTTPError, _UnexpectedReplyError) as error:
        return Played(problem.name, None, f"{type(error).__name__}: {error}")
    if verdict.get("mask_sample"):
        return Played(
            problem.name, None, f"masked: {verdict.get('failure_kind')}: {verdict.get('failure_reason')}"
        )
    return Played(problem.name, verdict.get("reward"))


async def _post(client: httpx.AsyncClient, path: str, body: Mapping[str, Any], seconds: list[float]) -> Any:
    started = time.perf_counter()
    reply = await client.post(path, json=body)
    seconds.append(time.perf_counter() - started)
    if reply.status_code != httpx.codes.OK:
        msg = f"{path} answered {reply.status_code}: {reply.text[:300]}"
        raise _UnexpectedReplyError(msg)
    return reply.json()


def _items(call_id: str, tool: str, arguments: Mapping[str, Any], reply: object) -> list[dict[str, Any]]:
    """Return a call and its output as items of a response; the agent keeps the transcript, not the server."""
    told = str(reply)
    return [
        {"type": "function_call", "call_id": call_id, "name": tool, "arguments": str(dict(arguments))},
        {"type": "function_call_output", "call_id": call_id, "output": told},
    ]


def _response(items: list[dict[str, Any]]) -> dict[str, Any]:
    text = f"The function is in {SOLUTION}."
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
    return {"id": "resp_scripted", "object": "response", "model": "scripted", "output": [*items, message]}
