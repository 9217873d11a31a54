"""A model that says what its prompt tells it to, behind the Responses API.

The first user message is a script in JSON: a list of turns, each ``{"calls": [[name, arguments], …]}`` or
``{"final": text}``. Arguments that are a string are given as they are, valid JSON or not. An agent for which
a text is not the end gets the turns that come after it.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def script(*turns: Any) -> dict[str, Any]:
    """Return the parameters of a rollout in which the model takes these turns.

    Args:
        turns: a list of calls, ``(name, arguments)`` each, or the final text.
    """
    plan = [{"final": turn} if isinstance(turn, str) else {"calls": turn} for turn in turns]
    return {"input": [{"role": "user", "content": json.dumps(plan)}]}


@contextmanager
def open_model() -> Iterator[int]:
    """Serve the model while the block lasts; yield its port."""
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), _Handler)) as port:
        yield port


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[int]:
    """Let a server answer in threads while the block lasts; yield its port."""
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    timeout = 30

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        reply = json.dumps(_response(body)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as it is called there
        """Say nothing."""


def _response(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"resp_{uuid.uuid4().hex}",
        "object": "response",
        "created_at": 0.0,
        "model": "scripted",
        "output": _turn(body["input"]),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "status": "completed",
        "usage": {
            "input_tokens": 10,
            "output_tokens": 5,
            "total_tokens": 15,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    }


def _turn(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the output of the turn that comes after all calls and texts in `items`."""
    prompt = next(item["content"] for item in items if item.get("role") == "user")
    done = sum(1 for item in items if item.get("type") == "function_call")
    said = sum(1 for item in items if item.get("role") == "assistant")
    for turn in json.loads(prompt):
        if "final" in turn:
            if not said:
                return [_message(turn["final"])]
            said -= 1
        elif not done:
            return [_call(name, arguments) for name, arguments in turn["calls"]]
        else:
            done -= len(turn["calls"])
    return [_message("done")]


def _call(name: str, arguments: Any) -> dict[str, Any]:
    call_id = f"call_{uuid.uuid4().hex[:12]}"
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {
        "type": "function_call",
        "id": f"fc_{call_id}",
        "call_id": call_id,
        "name": name,
        "arguments": text,
        "status": "completed",
    }


def _message(text: str) -> dict[str, Any]:
    return {
        "type": "message",
        "id": f"msg_{uuid.uuid4().hex[:12]}",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }
