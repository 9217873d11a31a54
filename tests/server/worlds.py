"""Small environments for the tests of the server, and what they need to be played."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from sandbox.launcher import open_launcher
from server.environment import Environment, Rollout, Session, Verdict
from server.http.cookies import CookieSigner
from server.http.requests import CloseRequest, SeedRequest, VerifyRequest
from server.http.wire import Reply
from server.sessions.exchanges import Exchange
from server.sessions.registry import Sessions, open_sessions
from server.settings import Settings
from tools.registry import tool

SIGNER = CookieSigner("a secret of at least sixteen characters")


@attrs.frozen(kw_only=True)
class CountTask:
    expected: int
    start: int = 0
    limits: Mapping[str, float] = {}
    seed: str = ""
    judge: str = ""


@tool
def add(state: dict[str, Any], by: int) -> dict[str, Any]:
    """Add to the counter."""
    path = Path("count.txt")
    count = int(path.read_text()) + by
    path.write_text(str(count))
    state["calls"] = state.get("calls", 0) + 1
    return {"count": count, "calls": state["calls"]}


@tool(lane="naps")
def nap(state: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Sleep, and leave a trace."""
    time.sleep(seconds)
    with Path("naps.txt").open("a") as file:
        file.write("nap\n")
    return {"slept": seconds}


class Counting(Environment[CountTask]):
    """The reward says whether count.txt holds the expected number in the end."""

    tools = (add, nap, "python", "bash")

    def limits(self, task: CountTask) -> Mapping[str, float]:
        if task.seed.startswith("limits raise"):
            msg = "no such luck"
            raise {"LookupError": LookupError, "ValueError": ValueError}[task.seed.split()[-1]](msg)
        return task.limits

    async def seed_session(self, session: Session, task: CountTask) -> None:
        if task.seed == "raise":
            msg = "no such luck"
            raise LookupError(msg)
        if task.seed == "dawdle":
            await trio.sleep_forever()
        await session.write_file("count.txt", str(task.start))

    async def verify(self, rollout: Rollout[CountTask]) -> Verdict:
        if rollout.task.judge == "raise":
            msg = "no such luck"
            raise LookupError(msg)
        count = int(rollout.final_state.text("count.txt", "-1"))
        naps = rollout.final_state.text("naps.txt", "").count("nap")
        fields = {"count": count, "naps": naps, "calls": len(rollout.calls), "said": rollout.final_text}
        return Verdict(
            float(count == rollout.task.expected), fields | {"ended_by": rollout.final_state.ended_by}
        )


class Answering(Environment[CountTask]):
    """The reward needs the response only."""

    stateless = True
    tools = ("python",)

    async def verify(self, rollout: Rollout[CountTask]) -> Verdict:
        return Verdict(float(str(rollout.task.expected) in rollout.final_text))


def response(text: str = "done") -> dict[str, Any]:
    """Return a trajectory that ends with `text`."""
    content = [{"type": "output_text", "text": text}]
    return {"id": "resp_1", "output": [{"type": "message", "role": "assistant", "content": content}]}


def body_of(value: Any) -> bytes:
    return json.dumps(value).encode()


@attrs.define(eq=False)
class Player:
    """Does to `Sessions` what the routes do, for one client."""

    sessions: Sessions
    session_id: str | None = None

    async def seed(self, row: Mapping[str, Any], name: str | None = None) -> str:
        request = SeedRequest.parse(body_of(row), self.sessions.task_type)
        self.session_id = await self.sessions.seed(request, SIGNER.new_id(), self.session_id, name)
        return self.session_id

    async def begin(self, tool_name: str, name: str | None = None, **arguments: Any) -> Exchange:
        key = body_of([tool_name, arguments])
        return await self.sessions.call(self.session_id, tool_name, arguments, key, name)

    async def call(self, tool_name: str, *, deliver: bool = True, **arguments: Any) -> Any:
        exchange = await self.begin(tool_name, **arguments)
        exchange.attending += 1
        try:
            reply = await exchange.wait()
        finally:
            exchange.leave(is_delivered=deliver)
        return value_of(reply)

    async def close(self, body: Mapping[str, Any]) -> None:
        await self.sessions.close(self.session_id, CloseRequest.parse(body_of(body)))

    async def verify(self, row: Mapping[str, Any], text: str = "done") -> dict[str, Any]:
        request = VerifyRequest.parse(body_of({**row, "response": response(text)}))
        return await self.sessions.finish(self.session_id, request)


def value_of(reply: Reply) -> Any:
    value = json.loads(reply.body)
    return value if reply.status == 200 else (reply.status, value["detail"])


@asynccontextmanager
async def open_game(environment: Environment[Any] | None = None, **settings: Any) -> AsyncIterator[Sessions]:
    """Open real sessions in real sandboxes."""
    async with (
        open_launcher() as launcher,
        open_sessions(environment or Counting(), launcher, Settings(**settings)) as sessions,
    ):
        yield sessions
