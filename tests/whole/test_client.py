"""The client against a real server: without a loop, on asyncio and on Trio, over lossy connections."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import httpx
import pytest

from server.client import AsyncClient, Client, Refused, Unreachable
from tests.whole.servers import Server, creche, reserved_port

ROW: dict[str, Any] = {"files": {"a.txt": "1\n"}, "expected_files": {"a.txt": "1\nnew\n"}}
ADD = "echo new >> a.txt"
_LOST = "lost on the way"


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with creche(tmp_path_factory.mktemp("server")) as server:
        yield server


class LosesEveryOther(httpx.HTTPTransport):
    """Loses every other reply on its last metre: the server is sure that it was delivered."""

    def __init__(self) -> None:
        super().__init__()
        self.requests = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        reply = super().handle_request(request)
        self.requests += 1
        if self.requests % 2:
            reply.read()
            reply.close()
            raise httpx.ReadError(_LOST, request=request)
        return reply


class LosesEveryOtherToo(httpx.AsyncHTTPTransport):
    """The same on a loop."""

    requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        reply = await super().handle_async_request(request)
        self.requests += 1
        if self.requests % 2:
            await reply.aread()
            await reply.aclose()
            raise httpx.ReadError(_LOST, request=request)
        return reply


def test_importing_it_imports_no_server() -> None:
    servers = {"quart", "hypercorn", "server.http.app"}
    code = f"import sys, server.client; print(sorted({servers} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "[]\n" == done.stdout


def test_nobody_there_is_told_when_patience_is_over() -> None:
    with (
        reserved_port() as port,
        Client(f"http://127.0.0.1:{port}", patience_seconds=0.2) as client,
        pytest.raises(Unreachable, match=r"GET /health got no reply for 0\.2 s: ConnectError"),
    ):
        client.health()


def test_a_row_that_does_not_fit_is_refused_by_its_field(server: Server) -> None:
    with (
        Client(server.url) as client,
        pytest.raises(Refused, match="expected_files") as caught,
        client.session({"expected_files": 3}),
    ):
        pass
    assert 422 == caught.value.status


def test_what_cannot_be_called_is_refused_and_the_session_goes_on(server: Server) -> None:
    with Client(server.url) as client, client.session(ROW) as session:
        for tool, arguments, status in (
            ("nothing", {}, 404),
            ("bash", {}, 422),
            ("bash", {"command": 3}, 422),
        ):
            with pytest.raises(Refused) as caught:
                session.call(tool, **arguments)
            assert status == caught.value.status
        assert "1\n" == session.call("bash", command="cat a.txt").stdout


def test_a_session_whose_block_is_left_is_over(server: Server) -> None:
    with Client(server.url) as client:
        before = client.health()["sandboxes"]
        with pytest.raises(ZeroDivisionError), client.session(ROW) as session:
            raise ZeroDivisionError
        assert before == client.health()["sandboxes"]
        with pytest.raises(Refused, match="session over"):
            session.call("python", code="1")


def test_a_rollout_without_a_loop(server: Server) -> None:
    with Client(server.url) as client, client.session(ROW) as session:
        reply = session.call("python", code="print('out'); 6 * 7")
        assert ("ok", "out\n", "", "42") == (reply.outcome, reply.stdout, reply.stderr, reply.result)
        assert (
            '{"outcome":"ok","stdout":"","stderr":"","exit_code":0}' == session.call("bash", command=ADD).text
        )
        verdict = session.verify({"output": []})
        assert (1.0, False, "") == (verdict.reward, verdict.is_masked, verdict.failure_kind)
        assert ROW.items() <= verdict.body.items()
        with pytest.raises(Refused, match="session finished") as caught:
            session.call("python", code="1")
        assert 409 == caught.value.status


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_rollout_on_a_loop(server: Server, backend: str) -> None:
    async def play() -> list[float]:
        rewards: list[float] = []
        async with AsyncClient(server.url) as client:
            assert "python" in [tool["name"] for tool in await client.tools()]

            async def one(number: int) -> None:
                async with client.session(ROW) as session:
                    await session.call("python", code=f"number = {number}")
                    await session.call("bash", command=ADD)
                    assert str(number) == (await session.call("python", code="number")).result
                    rewards.append((await session.verify({})).reward)

            async with anyio.create_task_group() as tasks:
                for number in range(4):
                    tasks.start_soon(one, number)
        return rewards

    assert [1.0] * 4 == anyio.run(play, backend=backend)


def test_threads_share_a_client_and_no_session(server: Server) -> None:
    with Client(server.url) as client:

        def play(number: int) -> str:
            with client.session(ROW) as session:
                session.call("python", code=f"number = {number}")
                return str(session.call("python", code="number").result)

        with ThreadPoolExecutor(4) as pool:
            assert [str(number) for number in range(8)] == list(pool.map(play, range(8)))


def test_a_lost_reply_executes_nothing_twice(server: Server) -> None:
    with Client(server.url) as watching:
        before = watching.health()["sandboxes"]
        transport = LosesEveryOther()
        lossy = Client(server.url, http=httpx.Client(base_url=server.url, transport=transport, timeout=60))
        with lossy as client, client.session(ROW) as session:
            assert before + 1 == watching.health()["sandboxes"]
            assert 0 == session.call("bash", command=ADD).get("exit_code")
            assert "1\nnew\n" == session.call("bash", command="cat a.txt").stdout
            assert 1.0 == session.verify({}).reward
        assert 8 == transport.requests


def test_a_lost_reply_executes_nothing_twice_on_a_loop(server: Server) -> None:
    async def play() -> None:
        http = httpx.AsyncClient(base_url=server.url, transport=LosesEveryOtherToo(), timeout=60)
        async with AsyncClient(server.url, http=http) as client, client.session(ROW) as session:
            await session.call("bash", command=ADD)
            assert 1.0 == (await session.verify({})).reward

    anyio.run(play, backend="trio")
