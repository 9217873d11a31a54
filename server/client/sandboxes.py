"""Sandboxes by themselves, of a server that gives them out: commands, files, an interpreter that stays open.

    async with AsyncClient("http://127.0.0.1:8000") as client:
        sandboxes = AsyncSandboxes(client, token)
        sandbox = await sandboxes.create(ttl_seconds=600)
        done = await sandbox.execute("pytest -q", cwd="repo")

A sandbox lives until it is closed, or until its time is over, whoever made it; its id is all that another
process with the token needs to use it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import attrs

from server.client.asynchronous import AsyncClient
from server.client.conversation import Request, read, read_call
from server.client.replies import CallReply, as_object

_OK = (200, 201)


@attrs.frozen
class Executed:
    """What a command came to.

    Attributes:
        stdout: what it printed; of much of it the head and the tail.
        stderr: the same of the other stream.
        return_code: its exit code, or 125 where it did not come to have one.
        error_type: then: ``"timeout"``, or ``"sandbox"`` if that could not run it.
    """

    stdout: str
    stderr: str
    return_code: int
    error_type: str | None


@attrs.frozen
class AsyncSandboxes:
    """The sandboxes of a server.

    Args:
        client: connected to it.
        token: the server's `sandbox_token`.
    """

    _client: AsyncClient
    _token: str = attrs.field(repr=False)

    async def create(self, **wishes: Any) -> AsyncSandbox:
        """Make a sandbox, and wait until it can be used; one only, however often the request is sent.

        Args:
            wishes: `ttl_seconds`, `wait_seconds`, `workdir`, `env` and `limits`, as in ``POST /sandboxes``.

        Raises:
            Refused: it asks for what it may not have, none became free in time, or the token is wrong.
            Unreachable: see there.
        """
        reply = await self._client.fetch(self.request("POST", "", wishes))
        made = as_object(read(reply.status_code, reply.text))
        return AsyncSandbox(str(made["id"]), str(made["workdir"]), self, self._client)

    def attach(self, sandbox_id: str, workdir: str = "/workspace") -> AsyncSandbox:
        """Return a sandbox that was made before, here or elsewhere. Nothing is asked."""
        return AsyncSandbox(sandbox_id, workdir, self, self._client)

    def request(self, method: str, path: str, body: Mapping[str, Any] | bytes) -> Request:
        """Return a request below ``/sandboxes``, with the token and a key of its own."""
        headers = {"authorization": f"Bearer {self._token}", "idempotency-key": secrets.token_hex(16)}
        if isinstance(body, bytes):
            return Request(method, f"/sandboxes{path}", body, headers)
        headers["content-type"] = "application/json"
        return Request(method, f"/sandboxes{path}", json.dumps(body).encode(), headers)


@attrs.frozen
class AsyncSandbox:
    """One sandbox.

    Attributes:
        id: names it.
        workdir: where its commands start, and what paths are relative to.

    All methods raise `Refused` when it is over, when the token is wrong, or when they are asked for what
    cannot be; and `Unreachable`, when it is not known whether it was done.
    """

    id: str
    workdir: str
    _sandboxes: AsyncSandboxes = attrs.field(repr=False)
    _client: AsyncClient = attrs.field(repr=False)

    async def execute(
        self,
        command: str,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> Executed:
        """Run a command by ``bash -c``, once, whatever it comes to.

        Args:
            command: may be a script of many lines.
            cwd: where it starts, relative to `workdir`.
            env: in addition to what the sandbox was made with.
            timeout_seconds: after which it is killed; without, it may run as long as the sandbox lives.
        """
        wish = {"command": command, "cwd": cwd, "env": dict(env or {}), "timeout_seconds": timeout_seconds}
        done = as_object(read(*await self._send("POST", "/exec", wish)))
        stderr = str(done["stderr"]) or str(done.get("error") or "")
        return Executed(str(done["stdout"]), stderr, int(done["return_code"]), done["error_type"])

    async def python(self, code: str, *, timeout_seconds: float | None = None) -> CallReply:
        """Run a cell in the sandbox's interpreter, which keeps its variables from cell to cell."""
        wish = {"code": code, "timeout_seconds": timeout_seconds}
        return read_call(*await self._send("POST", "/python", wish))

    async def upload(self, path: str, content: bytes) -> None:
        """Write a file; folders on the way are made."""
        read(*await self._send("PUT", f"/files?path={quote(path, safe='')}", content))

    async def download(self, path: str) -> bytes:
        """Return a file's content."""
        request = self._sandboxes.request("GET", f"/{self.id}/files?path={quote(path, safe='')}", b"")
        reply = await self._client.fetch(request)
        if reply.status_code not in _OK:
            read(reply.status_code, reply.text)
        return reply.content

    async def status(self) -> str:
        """Return ``"running"`` or ``"stopped"``."""
        return str(as_object(read(*await self._send("GET", "", b"")))["status"])

    async def close(self) -> None:
        """End it, and wait until nothing of it is left. Any number of times."""
        read(*await self._send("DELETE", "", b""))

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | bytes) -> tuple[int, str]:
        return await self._client.send(self._sandboxes.request(method, f"/{self.id}{path}", body))
