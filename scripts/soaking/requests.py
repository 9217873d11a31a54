"""Requests as hypothesis makes them: every route, with paths, headers and bodies from plausible to absurd."""

from __future__ import annotations

import json
from typing import Any

import attrs
from hypothesis import strategies as st

TOOLS = ("python", "bash", "read_file", "write_file", "edit_file", "list_files")
ROUTES = (
    "", "healthz", "livez", "readyz", "health", "tools", "openapi.json", "docs",
    "seed_session", "verify", "close_session", "aggregate_metrics", "reverify", "mcp", "sandboxes",
    "reset", "step", "step", "close", *TOOLS,
)  # fmt: skip

ROW: dict[str, Any] = {"files": {"a.txt": "1"}, "expected_files": {"a.txt": "1"}, "limits": {}}
CALL = {"type": "function_call", "name": "python", "call_id": "1", "arguments": '{"code": "1"}'}
_KEYS = st.sampled_from(
    ["files", "expected_files", "limits", "response", "responses_create_params", "code", "command", "path",
     "content", "old", "new", "agent_ref", "_ng_task_index", "output", "resources_session_id"]
) | st.text(max_size=8)  # fmt: skip
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["a.txt", "../a", "/etc/passwd", "1 + 1", "true", "\ud800", "9" * 400])
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=12,
)


@attrs.frozen
class Request:
    """A request as it is sent; `has_session` says whether with the cookie of a session that lives.

    One that may be a step gets a session that is played by steps.
    """

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    has_session: bool


def _body(value: Any) -> bytes:
    return json.dumps(value).encode()


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """Draw a JSON text of which a piece has been replaced."""
    text = bytearray(_body(draw(_VALUES)))
    place = draw(st.integers(0, len(text)))
    text[place : place + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(text)


_BODIES = (
    st.dictionaries(_KEYS, _VALUES, max_size=5).map(_body)
    | _VALUES.map(_body)
    | st.sampled_from(
        [
            _body(ROW),
            _body({**ROW, "response": {}}),
            _body({**ROW, "response": {"output": []}}),
            _body({**ROW, "response": {"output": [CALL]}}),
            b"",
            b"[" * 3000,
            b"\xff",
            b'{"a":1,"a":2}',
        ]
    )
    | _damaged()
    | st.binary(max_size=60)
)
_SEGMENT = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#?"), max_size=12)
_PATHS = (
    st.sampled_from(ROUTES).map(lambda route: f"/{route}")
    | st.builds("/ng-rollout/{}/{}".format, _SEGMENT, st.sampled_from(ROUTES))
    | st.lists(_SEGMENT, max_size=3).map(lambda parts: "/" + "/".join(parts))
    | st.builds("/{}?{}".format, st.sampled_from(ROUTES), _SEGMENT)
)
_PLAIN = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30).map(str.strip)
_HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            ["Content-Type", "Cookie", "Accept", "Idempotency-Key", "Authorization", "Accept-Encoding",
             "If-None-Match", "Origin", "Mcp-Session-Id", "X-Forwarded-For", "Content-Encoding", "Upgrade"]
        ),
        _PLAIN | st.sampled_from(["application/json", "text/plain; charset=utf-7", "gzip", "websocket"]),
    ),
    max_size=3,
).map(tuple)  # fmt: skip

requests = st.builds(
    Request,
    method=st.sampled_from([*["POST"] * 16, *["GET"] * 4, "PUT", "DELETE", "HEAD", "OPTIONS", "BREW"]),
    path=_PATHS,
    headers=_HEADERS,
    body=_BODIES,
    has_session=st.sampled_from([True, False, False, False]),
)
