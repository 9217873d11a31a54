"""The agent: seed, tool calls, verify."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from server.playing.connection import Answer, Connection, path_of
from tools.shapes import is_dict

if TYPE_CHECKING:
    from server.playing.script import Call, Script


@attrs.define(eq=False)
class Agent:
    """Sends requests of one session. Keeps the last cookie, as NeMo Gym's agents do."""

    _connection: Connection
    cookie: str | None = None

    async def post(self, path: str, value: Any) -> Answer:
        """Send `value` as JSON and wait for the reply."""
        answer = await self._connection.post(path, json.dumps(value).encode(), self.cookie)
        self.cookie = answer.cookie or self.cookie
        return answer

    async def call(self, call: Call) -> Answer:
        """Make a tool call."""
        return await self.post(path_of(call.tool), call.arguments)


async def play(connection: Connection, row: Mapping[str, Any], script: Script) -> dict[str, Any]:
    """Play `script` in a session of `row`; return the reply to `/verify`, empty where it is no object."""
    agent = Agent(connection)
    await agent.post("/seed_session", row)
    answers = [await agent.call(call) for call in script.calls]
    return object_in(await agent.post("/verify", {**row, "response": trajectory(script, answers)}))


def trajectory(script: Script, answers: Sequence[Answer]) -> dict[str, Any]:
    """Return the response: the script's calls, the answers to them, its text; as an agent writes it."""
    output: list[dict[str, Any]] = []
    for number, (call, answer) in enumerate(zip(script.calls, answers, strict=False)):
        call_id = f"call_{number}"
        arguments = json.dumps(call.arguments)
        output += [
            {"type": "function_call", "call_id": call_id, "name": call.tool, "arguments": arguments},
            {"type": "function_call_output", "call_id": call_id, "output": answer.text},
        ]
    content: list[dict[str, Any]] = [{"type": "output_text", "text": script.text, "annotations": []}]
    output.append({"type": "message", "role": "assistant", "content": content})
    return {"id": "resp_played", "object": "response", "model": "script", "output": output}


def object_in(answer: Answer) -> dict[str, Any]:
    """Return the object that an answer holds, an empty one where it holds none."""
    try:
        value = json.loads(answer.text)
    except ValueError:
        return {}
    return value if is_dict(value) else {}
