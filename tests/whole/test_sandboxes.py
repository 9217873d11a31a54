"""Sandboxes by themselves, over HTTP and through the client."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
import trio

from server.client import AsyncClient, Refused
from server.client.sandboxes import AsyncSandbox, AsyncSandboxes
from server.sandboxes.routes import OPERATIONS
from tests.whole.servers import Server, creche
from tests.whole.test_client import LosesEveryOtherToo

TOKEN = "a-token-of-the-tests"
SETTINGS = ("--set", "max_sessions=3", "--set", "standby=0", "--set", "body_bytes=12000000")
LIMITS = ("--set", "limits.idle_seconds=5")  # of sessions: a sandbox has a time to live, and no idle deadline


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with creche(folder, *SETTINGS, *LIMITS, CRECHE_SANDBOX_TOKEN=TOKEN) as server:
        yield server
        assert 0 == server.stop()


@asynccontextmanager
async def sandboxes(server: Server, **options: Any) -> AsyncIterator[AsyncSandboxes]:
    async with AsyncClient(server.url, **options) as client:
        yield AsyncSandboxes(client, TOKEN)


@asynccontextmanager
async def one(server: Server, **wishes: Any) -> AsyncIterator[AsyncSandbox]:
    async with sandboxes(server) as all_of_them:
        sandbox = await all_of_them.create(**wishes)
        try:
            yield sandbox
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(30):
                await sandbox.close()


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"]
)
def test_without_the_token_nothing_is_to_be_had(server: Server, header: str) -> None:
    one = "/sandboxes/a"
    asked = [("POST", "/sandboxes"), ("GET", one), ("DELETE", one), ("POST", f"{one}/exec")]
    asked += [("POST", f"{one}/python"), ("PUT", f"{one}/files"), ("GET", f"{one}/files")]
    with server.client() as client:
        for method, path in asked:
            reply = client.request(method, path, headers={"authorization": header})
            assert (401, True) == (reply.status_code, "Bearer TOKEN" in reply.json()["detail"])


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"ttl_seconds": 10**6}, "limits.session_seconds"),
        ({"ttl_seconds": 0}, "ttl_seconds"),
        ({"ttl_seconds": "1"}, "ttl_seconds"),
        ({"limits": {"memory_bytes": 10**15}}, "memory_bytes: may only be lowered"),
        ({"limits": {"luck": 1}}, "no such limit"),
        ({"limits": {"memory_bytes": 10**400}}, "memory_bytes"),
        ({"wait_seconds": -1}, "wait_seconds"),
        ({"workdir": "/etc/new"}, "read-only file system"),
        ({"env": {"a": 1}}, "env"),
    ],
)
async def test_what_cannot_be_had_is_refused_by_its_name(server: Server, wishes: Any, words: str) -> None:
    async with sandboxes(server) as all_of_them:
        with pytest.raises(Refused) as caught:
            await all_of_them.create(**wishes)
        assert 422 == caught.value.status
        assert words in str(caught.value)


async def test_a_sandbox_does_what_container_runtimes_do(server: Server) -> None:
    async with one(server, workdir="/workspace/repo", env={"A": "1"}) as sandbox:
        done = await sandbox.execute('pwd; echo "$A$B" >&2; exit 3', env={"B": "2"})
        assert ("/workspace/repo\n", "12\n") == (done.stdout, done.stderr)
        assert (3, None) == (done.return_code, done.error_type)
        assert "/workspace/repo/sub\n" == (await sandbox.execute("mkdir sub; cd sub; pwd")).stdout
        assert "/tmp\n" == (await sandbox.execute("pwd", cwd="/tmp")).stdout
        missing = await sandbox.execute("true", cwd="missing")
        assert (125, "sandbox") == (missing.return_code, missing.error_type)
        assert "missing" in missing.stderr
        late = await sandbox.execute("echo before; sleep 1000", timeout_seconds=4)
        assert ("before\n", 125, "timeout") == (late.stdout, late.return_code, late.error_type)
        assert "running" == await sandbox.status()


def test_the_description_has_its_routes_and_is_true(server: Server) -> None:
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    described = {(path, method) for path, methods in schema.raw_schema["paths"].items() for method in methods}
    assert described >= {(operation.path, operation.method.lower()) for operation in OPERATIONS}
    for operation in OPERATIONS:
        assert f"{operation.path}</code>" in httpx.get(f"{server.url}/docs").text
    headers = {"authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=60) as client:
        made = client.post("/sandboxes", json={})
        schema["/sandboxes"]["POST"].validate_response(made)
        one, path = "/sandboxes/{sandbox_id}", f"/sandboxes/{made.json()['id']}"
        asked: list[tuple[str, str, dict[str, Any]]] = [
            ("POST", "/exec", {"json": {"command": "exit 1"}}),
            ("POST", "/exec", {"json": {}}),
            ("POST", "/python", {"json": {"code": "1"}}),
            ("PUT", "/files", {"params": {"path": "a"}, "content": b"a"}),
            ("PUT", "/files", {"content": b"a"}),
            ("GET", "/files", {"params": {"path": "a"}}),
            ("GET", "/files", {"params": {"path": "b"}}),
            ("GET", "", {}),
            ("DELETE", "", {}),
            ("POST", "/exec", {"json": {"command": "true"}}),
        ]
        statuses = []
        for method, end, body in asked:
            reply = client.request(method, path + end, **body)
            schema[one + end][method].validate_response(reply)
            statuses.append(reply.status_code)
    assert [200, 422, 200, 200, 422, 200, 422, 200, 200, 409] == statuses


async def test_its_interpreter_stays_open(server: Server) -> None:
    async with one(server) as sandbox:
        await sandbox.python("x = 6")
        await sandbox.execute("echo 7 > seven")
        assert "42" == (await sandbox.python("x * int(open('seven').read())")).result
        assert "timeout" == (await sandbox.python("while True: pass", timeout_seconds=0.5)).outcome
        assert "6" == (await sandbox.python("x")).result


async def test_files_go_in_and_out_as_they_are(server: Server) -> None:
    async with one(server) as sandbox:
        data = bytes(range(256)) * 20_000
        await sandbox.upload("a folder/é?&.bin", data)
        assert data == await sandbox.download("a folder/é?&.bin")
        assert f"{len(data)}\n" == (await sandbox.execute("stat -c %s 'a folder/é?&.bin'")).stdout
        await sandbox.upload("empty", b"")
        assert b"" == await sandbox.download("/workspace/empty")
        for path, words in (("missing", "no such file"), ("a folder", "is a directory")):
            with pytest.raises(Refused, match=words):
                await sandbox.download(path)
        await sandbox.execute("head -c 12000001 /dev/zero > long")
        with pytest.raises(Refused, match="413"):
            await sandbox.download("long")


async def test_commands_run_side_by_side(server: Server) -> None:
    async with one(server) as sandbox, trio.open_nursery() as nursery:
        # The first waits for what the second does.
        nursery.start_soon(sandbox.execute, "until [ -e go ]; do sleep 0.02; done")
        nursery.start_soon(sandbox.execute, "touch go")


async def test_a_sandbox_that_is_over_says_so_and_can_be_closed_again(server: Server) -> None:
    async with one(server, ttl_seconds=0.5) as sandbox:
        with pytest.raises(Refused, match="the sandbox is over"):
            await sandbox.execute("sleep 1000")
        with trio.fail_after(60):
            while "stopped" != await sandbox.status():  # noqa: ASYNC110  # it is another process's
                await trio.sleep(0.02)
        asked = (
            sandbox.execute("true"),
            sandbox.python("1"),
            sandbox.upload("a", b""),
            sandbox.download("a"),
        )
        for each in asked:
            with pytest.raises(Refused, match="409"):
                await each
        await sandbox.close()
    async with sandboxes(server) as all_of_them:
        await all_of_them.attach("0" * 32).close()
        with pytest.raises(Refused, match="404"):
            await all_of_them.attach("0" * 32).execute("true")


async def test_a_file_of_a_sandbox_that_ends_meanwhile_is_refused(server: Server) -> None:
    async with one(server, ttl_seconds=5.0) as sandbox:
        await sandbox.execute("head -c 11000000 /dev/zero > long")

        async def download_for_ever() -> None:
            while True:
                await sandbox.download("long")

        with trio.fail_after(60), pytest.raises(Refused, match="409"):
            await download_for_ever()


async def test_sandboxes_and_sessions_share_the_places(server: Server) -> None:
    async with one(server), one(server) as second, one(server), sandboxes(server) as all_of_them:
        with pytest.raises(Refused, match=r"503: no sandbox became free within 0\.3 s"):
            await all_of_them.create(wait_seconds=0.3)
        made: list[AsyncSandbox] = []

        async def wait_in_line() -> None:
            made.append(await all_of_them.create())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_in_line)
            await second.close()
        await made[0].close()


async def test_a_lost_reply_makes_and_executes_nothing_twice(server: Server) -> None:
    http = httpx.AsyncClient(base_url=server.url, transport=LosesEveryOtherToo(), timeout=30)
    with server.client() as watching:
        before = watching.get("/health").json()["sandboxes"]
        async with sandboxes(server, http=http) as all_of_them:
            sandbox = await all_of_them.create()
            assert before + 1 == watching.get("/health").json()["sandboxes"]
            await sandbox.execute("echo once >> log")
            assert "once\n" == (await sandbox.execute("cat log")).stdout
            await sandbox.close()
        assert before == watching.get("/health").json()["sandboxes"]


def test_a_command_in_progress_is_answered_when_the_server_stops(tmp_path: Path) -> None:
    statuses: list[int] = []
    headers = {"authorization": f"Bearer {TOKEN}"}
    with (
        creche(tmp_path, *SETTINGS, "--set", "grace_seconds=0.5", CRECHE_SANDBOX_TOKEN=TOKEN) as server,
        httpx.Client(base_url=server.url, headers=headers, timeout=60) as client,
    ):
        path = f"/sandboxes/{client.post('/sandboxes').json()['id']}/exec"

        def wait() -> None:
            statuses.append(client.post(path, json={"command": "touch on; sleep 1000"}).status_code)

        thread = threading.Thread(target=wait)
        thread.start()
        client.post(path, json={"command": "until [ -e on ]; do sleep 0.02; done"})
        assert 0 == server.stop()
        thread.join()
    assert [503] == statuses
