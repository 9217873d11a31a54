"""A judge's endpoint on loopback that does what a script says: answer, hang, refuse, or talk nonsense."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import h11
import trio

from server.verify.judge.model import Api, JudgeModel

Step = Callable[["Endpoint", "Wire", dict[str, Any]], Any]


@attrs.define(eq=False)
class Wire:
    """One connection, from the server's end."""

    stream: trio.SocketStream
    http: h11.Connection

    async def request(self) -> tuple[h11.Request, bytes] | None:
        head, body = None, b""
        while True:
            event = self.http.next_event()
            if event is h11.NEED_DATA:
                self.http.receive_data(await self.stream.receive_some(65536))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return head, body
            else:
                return None

    async def reply(self, status: int, body: bytes, **headers: str) -> None:
        fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
        head = h11.Response(status_code=status, headers=[*fields, ("Content-Length", str(len(body)))])
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            await self.stream.send_all(self.http.send(event) or b"")


@attrs.define(eq=False)
class Endpoint:
    """What it was asked, and what it is to do: one step per request, the last one for all that follow."""

    url: str = ""
    steps: list[Step] = attrs.field(factory=list[Step])
    asked: list[tuple[str, dict[str, Any]]] = attrs.field(factory=list[tuple[str, dict[str, Any]]])
    keys: list[str | None] = attrs.field(factory=list[str | None])
    at_once: int = 0
    most_at_once: int = 0

    def prompt(self, number: int = -1) -> str:
        body = self.asked[number][1]
        return str((body.get("input") or body["messages"])[-1]["content"])

    async def serve(self, stream: trio.SocketStream) -> None:
        wire = Wire(stream, h11.Connection(h11.SERVER))
        try:
            while (request := await wire.request()) is not None:
                head, body = request
                self.asked.append((head.target.decode(), json.loads(body)))
                self.keys.append(dict(head.headers).get(b"authorization", b"").decode() or None)
                step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                try:
                    await step(self, wire, self.asked[-1][1])
                finally:
                    self.at_once -= 1
                if wire.http.our_state is not h11.DONE or wire.http.their_state is not h11.DONE:
                    return
                wire.http.start_next_cycle()
        except (trio.BrokenResourceError, h11.RemoteProtocolError):
            pass  # the client had enough
        finally:
            await trio.aclose_forcefully(stream)


@asynccontextmanager
async def open_endpoint(*steps: Step) -> AsyncGenerator[Endpoint]:
    endpoint = Endpoint(steps=list(steps))
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, endpoint.serve, 0, host="127.0.0.1"))
        endpoint.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        yield endpoint
        nursery.cancel_scope.cancel()


def judge_at(endpoint: Endpoint, api: Api = "responses", **wishes: Any) -> JudgeModel:
    return JudgeModel(url=endpoint.url, model="judge", api=api, pause_seconds=0.01, **wishes)


def says(*texts: str) -> Step:
    """Answer with a message of each text in turn, the last one for ever."""
    left = list(texts)

    async def step(_: Endpoint, wire: Wire, body: dict[str, Any]) -> None:
        text = left.pop(0) if len(left) > 1 else left[0]
        content = [{"type": "output_text", "text": text}]
        message = {"type": "message", "role": "assistant", "content": content}
        responses = {"output": [{"type": "reasoning", "summary": []}, message]}
        chat = {"choices": [{"message": {"role": "assistant", "content": text}}]}
        await wire.reply(200, json.dumps(responses if "input" in body else chat).encode())

    return step


def status(code: int, body: bytes = b"{}", **headers: str) -> Step:
    async def step(_: Endpoint, wire: Wire, __: dict[str, Any]) -> None:
        await wire.reply(code, body, **headers)

    return step


async def hangs(_: Endpoint, wire: Wire, __: dict[str, Any]) -> None:
    """Say nothing until the client hangs up."""
    while await wire.stream.receive_some(1):
        pass


async def drips(_: Endpoint, wire: Wire, __: dict[str, Any]) -> None:
    """Begin to answer, byte by byte, and never come to an end."""
    head = h11.Response(status_code=200, headers=[("Content-Length", "1000000")])
    await wire.stream.send_all(wire.http.send(head) or b"")
    while True:
        await wire.stream.send_all(wire.http.send(h11.Data(data=b" ")) or b"")
        await trio.sleep(0.05)


async def hangs_up(_: Endpoint, wire: Wire, __: dict[str, Any]) -> None:
    wire.http.send_failed()
    await trio.aclose_forcefully(wire.stream)


async def repeats(endpoint: Endpoint, wire: Wire, body: dict[str, Any]) -> None:
    """Answer with the whole prompt, as a judge that was talked into quoting does."""
    await says(endpoint.prompt().split("Give your reasons")[0])(endpoint, wire, body)
