"""What a server says of itself is true: schemathesis asks the real one whatever its description allows."""

from __future__ import annotations

import html
import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks

from server.description.document import document
from server.environments.workbench import Workbench
from server.http.operations import OPERATIONS
from server.version import VERSION
from tests.whole.servers import Server, creche

CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
]
"""What is fine must be answered as described, and what is not must be refused."""

ROW: dict[str, Any] = {"expected_files": {"a": "b"}}
DESCRIPTION = document(Workbench())
schema = schemathesis.openapi.from_dict(DESCRIPTION)


def _few(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,  # a run of the tests must not depend on its luck
        phases=[Phase.generate],
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.filter_too_much),
    )


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # No random command takes long.
    with creche(tmp_path_factory.mktemp("server"), "--set", "limits.call_seconds=1") as server:
        yield server


@schema.parametrize()
@_few(4)
def test_a_stranger_is_answered_as_described(case: Any, server: Server) -> None:
    case.call_and_validate(base_url=server.url, checks=CHECKS)


@schema.include(path_regex="^/(python|list_files)$").parametrize()
@_few(4)
def test_a_sessions_calls_are_answered_as_described(case: Any, server: Server) -> None:
    cookies = dict(httpx.post(f"{server.url}/seed_session", json=ROW).cookies)
    case.call_and_validate(base_url=server.url, checks=CHECKS, cookies=cookies)
    httpx.post(f"{server.url}/close_session", json=ROW, cookies=cookies)


def test_all_routes_and_tools_are_described(server: Server) -> None:
    served = httpx.get(f"{server.url}/openapi.json")
    assert json.loads(json.dumps(DESCRIPTION)) == served.json()
    wanted = {operation.path for operation in OPERATIONS} | {f"/{name}" for name in Workbench().toolbox.tools}
    assert wanted == served.json()["paths"].keys()


def test_a_rollouts_replies_are_as_described(server: Server) -> None:
    calls: dict[str, Any] = {
        "/seed_session": ROW,
        "/python": {"code": "1"},
        "/bash": {"command": "false"},
        "/verify": {**ROW, "response": {}},
    }
    with server.client() as client:
        for path, body in calls.items():
            operation = schema[path]["POST"]
            reply = client.post(path, json=body)
            assert 200 == reply.status_code
            operation.validate_response(reply)


def test_every_reply_says_which_version_answers(server: Server) -> None:
    with server.client() as client:
        replies = [
            client.get("/"),
            client.post("/nothing"),
            client.put("/"),
            client.post("/list_files"),
            client.get("/docs"),
        ]
    assert [VERSION] * len(replies) == [reply.headers["Creche-Version"] for reply in replies]


def test_the_page_names_every_operation_and_nothing_from_elsewhere(server: Server) -> None:
    reply = httpx.get(f"{server.url}/docs")
    assert "text/html; charset=utf-8" == reply.headers["content-type"]
    text = html.unescape(reply.text)
    assert [] == [path for path in DESCRIPTION["paths"] if f" {path}</code>" not in text]
    assert [] == re.findall(r"(?:src|href)=[\"']?(?:https?:)?//|@import|<script", reply.text)


def test_the_pages_examples_can_be_pasted(server: Server) -> None:
    page = httpx.get(f"{server.url}/docs").text
    examples = [shlex.split(html.unescape(text)) for text in re.findall(r"<pre>(curl [^<]*)</pre>", page)]
    assert len(DESCRIPTION["paths"]) == len(examples)
    last = ("/verify", "/close_session", "/aggregate_metrics", "/step", "/close")
    lasting = [words for words in examples if not words[-1].endswith(last)]
    with server.client() as client:
        for words in sorted(examples, key=lambda words: words not in lasting):
            path = words[-1].removeprefix("$URL")
            body = words[words.index("-d") + 1].encode() if "-d" in words else None
            reply = client.get(path) if body is None else client.post(path, content=body)
            assert 200 == reply.status_code, words
