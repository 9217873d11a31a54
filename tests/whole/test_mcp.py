"""The endpoint for MCP clients: the official client on Trio, and the bare protocol."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
import trio
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.whole.servers import Server, creche

ENVIRONMENT = """
from server import Verdict
from server.environments.workbench import Workbench as Shipped

class Workbench(Shipped):
    name = "bench"

    def allowed_tools(self, task):
        return ["python", "bash"] if "only.txt" in task.files else None

    async def verify(self, rollout):
        names = [item["name"] for item in rollout.response.get("output", ())]
        return Verdict(1.0, {"names": names})
"""
HEADER = "X-NeMo-Gym-Session-Token"
ROW: dict[str, Any] = {"files": {"a.txt": "a"}}
JSON = {"accept": "application/json, text/event-stream"}


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "bench.py").write_text(ENVIRONMENT)
    settings = ("--set", "mcp=true", "--set", "limits.idle_seconds=60")
    with creche(folder, f"{folder}/bench.py:Workbench", *settings) as server:
        yield server


@contextmanager
def seeded(server: Server, row: dict[str, Any] = ROW) -> Iterator[tuple[httpx.Client, dict[str, str]]]:
    """Seed a session; give its agent's client, and the headers for an MCP client."""
    with server.client() as agent:
        access = agent.post("/seed_session", json=row).json()["mcp"]
        assert ("bench", "/mcp", "http") == (access["server_name"], access["url_path"], access["transport"])
        yield agent, access["headers"]


@asynccontextmanager
async def connected(server: Server, headers: dict[str, str], mode: str = "auto") -> AsyncIterator[Client]:
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        transport = streamable_http_client(f"{server.url}/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


def ask(server: Server, method: str, headers: dict[str, str] | None = None, **params: Any) -> httpx.Response:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return httpx.post(f"{server.url}/mcp", json=body, headers={**JSON, **(headers or {})}, timeout=30)


def text_of(result: Any) -> str:
    (content,) = result["content"] if isinstance(result, dict) else result.content
    return str(content["text"] if isinstance(content, dict) else content.text)


def test_calls_without_a_good_token_are_refused(server: Server) -> None:
    with seeded(server) as (agent, headers):
        token = headers[HEADER]
        session_id = token.partition(".")[0]
        cookie = next(iter(agent.cookies.values()))
        bad = ["", "x", session_id, f"{session_id}.", token[:-1], token + "x", cookie, f"{'0' * 32}.{token}"]
        for each in bad:
            params: Any = {"name": "python", "arguments": {"code": "1"}}
            result = ask(server, "tools/call", {HEADER: each}, **params).json()["result"]
            assert result["isError"], each
            assert "No session" in text_of(result)


def test_arguments_that_no_session_can_take_are_refused_before_they_are_read(server: Server) -> None:
    with seeded(server) as (_, headers):
        arguments: dict[str, Any] = {"code": [[]] * 300_000}
        reply = ask(server, "tools/call", headers, name="python", arguments=arguments)
        assert (413, {"detail": "The request body is too large"}) == (reply.status_code, reply.json())


def test_a_token_is_for_the_tools_only(server: Server) -> None:
    with seeded(server) as (agent, headers):
        for name in ("verify", "close_session", "seed_session", "../verify", "creche:write_bytes", "mcp"):
            result = ask(server, "tools/call", headers, name=name, arguments={}).json()["result"]
            assert result["isError"]
            assert f"Unknown tool: {name!r}" in text_of(result)
        # Nor does the endpoint hand out the session's cookie, with which the session could be ended.
        reply = ask(server, "tools/call", headers, name="python", arguments={"code": "1"})
        assert not set(reply.cookies.values()) & set(agent.cookies.values())
        assert 404 == httpx.post(f"{server.url}/python", json={"code": "1"}, headers=headers).status_code


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_official_client_plays_a_rollout(server: Server, mode: str) -> None:
    with seeded(server) as (agent, headers):
        definitions = agent.get("/tools").json()
        async with connected(server, headers, mode) as client:
            tools = (await client.list_tools()).tools
            assert [tool["name"] for tool in definitions] == [tool.name for tool in tools]
            assert definitions[0]["parameters"] == tools[0].input_schema
            await client.call_tool("python", {"code": "x = 6"})
            result = await client.call_tool("python", {"code": "x * 7"})
            assert ("42", False) == (result.structured_content["result"], result.is_error)
            assert result.structured_content == json.loads(text_of(result))
            assert "6" == agent.post("/python", json={"code": "x"}).json()["result"]
            wrong = await client.call_tool("bash", {"command": 1})
            assert wrong.is_error
            assert text_of(wrong).startswith("HTTP 422 from POST /bash: [")
            agent.post("/verify", json={**ROW, "response": {}})
            late = await client.call_tool("python", {"code": "1"})
            assert "HTTP 409 from POST /python" in text_of(late)
            assert "session finished" in text_of(late)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_call_whose_client_hung_up_is_not_made_twice_when_it_comes_again(
    server: Server, mode: str
) -> None:
    command = {"command": "echo nap >> naps.txt; sleep 0.5"}
    with seeded(server) as (agent, headers):
        for seconds in (0.3, 20.0):
            async with connected(server, headers, mode) as client:
                with trio.move_on_after(seconds) as waiting:
                    assert not (await client.call_tool("bash", command)).is_error
        assert not waiting.cancelled_caught
        assert "nap\n" == agent.post("/bash", json={"command": "cat naps.txt"}).json()["stdout"]


async def test_a_session_has_the_tools_that_its_row_allows(server: Server) -> None:
    with seeded(server, {"files": {"only.txt": ""}}) as (agent, headers):
        async with connected(server, headers) as client:
            assert ["python", "bash"] == [tool.name for tool in (await client.list_tools()).tools]
            assert not (await client.call_tool("bash", {"command": "true"})).is_error
            assert "Unknown tool" in text_of(await client.call_tool("list_files", {}))
        assert 404 == agent.post("/list_files", json={}).status_code
        assert 200 == agent.post("/bash", json={"command": "true"}).status_code
        everything = ask(server, "tools/list").json()["result"]["tools"]
        assert "list_files" in [tool["name"] for tool in everything]


def test_the_protocol_is_stateless_json(server: Server) -> None:
    params = {"capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    for version in ("2025-06-18", "2025-03-26"):
        reply = ask(server, "initialize", protocolVersion=version, **params)
        assert (200, "application/json") == (reply.status_code, reply.headers["content-type"])
        assert version == reply.json()["result"]["protocolVersion"]
        assert "bench" == reply.json()["result"]["serverInfo"]["name"]
        assert "mcp-session-id" not in reply.headers
    unknown = ask(server, "initialize", protocolVersion="1999-01-01", **params)
    assert unknown.json()["result"]["protocolVersion"].startswith("202")
    assert {} == ask(server, "ping").json()["result"]
    assert -32601 == ask(server, "no/such").json()["error"]["code"]
    assert "Creche-Version" in ask(server, "tools/list").headers
    with httpx.Client(base_url=server.url, headers={**JSON, "content-type": "application/json"}) as client:
        told = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert 202 == client.post("/mcp", json=told).status_code
        for bad in (b"{", b"[]", b"1", b""):
            assert 400 == client.post("/mcp", content=bad).status_code


def test_a_verifier_reads_bare_names_and_the_reply_repeats_what_was_written(server: Server) -> None:
    names = ["mcp__bench__python", "mcp__other__python", "bash"]
    response = {"output": [{"type": "function_call", "name": name, "arguments": "{}"} for name in names]}
    with seeded(server) as (agent, _):
        body = agent.post("/verify", json={**ROW, "response": response}).json()
    assert ["python", "mcp__other__python", "bash"] == body["names"]
    assert response["output"] == body["response"]["output"]


def test_an_environment_server_learns_the_way_in_too(server: Server) -> None:
    episode = {"rollout_id": "0-0", "attempt": 0}
    ids = {"resources_session_id": "resources-session-a", "episode_id": episode}
    seed = {**ids, "task_id": {"taskset": "t", "task_id": "0"}, "task_data": ROW}
    with server.client() as agent:
        access = agent.post("/seed_session", json=seed).json()["resources_tools"]
        call: Any = {"name": "python", "arguments": {"code": "6 * 7"}}
        result = ask(server, "tools/call", access["headers"], **call).json()["result"]
        assert "42" == result["structuredContent"]["result"]
        agent.post("/close_session", json=ids)
        assert ask(server, "tools/call", access["headers"], **call).json()["result"]["isError"]


def test_it_is_off_unless_asked_for_and_so_are_sandboxes(tmp_path: Path) -> None:
    with creche(tmp_path) as server, server.client() as client:
        assert {} == client.post("/seed_session", json=ROW).json()
        assert 404 == client.post("/mcp", json={}).status_code
        for path in ("/sandboxes", "/sandboxes/a/exec"):
            assert 404 == client.post(path, json={}, headers={"authorization": "Bearer x"}).status_code
