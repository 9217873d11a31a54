"""Creche's sandboxes for NeMo Gym: a provider of the entry point group ``nemo_gym.sandbox_providers``.

    sandbox:
      creche:
        url: http://127.0.0.1:8000      # a server with `sandbox_token` set
        token: …                        # or CRECHE_SANDBOX_TOKEN in the environment

There are no images: a sandbox has the server's interpreter and packages. A spec that names an image is
refused, unless ``any_image: true`` says that the server has what the task needs. Ports, entry points and GPUs
are refused in any case. What none of NeMo Gym's own providers has is `python`: an interpreter that keeps its
variables.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import anyio

from server.client.asynchronous import AsyncClient
from server.client.connections import PATIENCE_SECONDS
from server.client.replies import CallReply, Refused, Unreachable
from server.client.sandboxes import AsyncSandbox, AsyncSandboxes

_MIB, _GIB = 1024**2, 1024**3
_RUNTIME_FAILURE = 125


class CrecheProvider:
    """Sandboxes of one server. NeMo Gym makes it from its configuration, and calls it on one asyncio loop."""

    name = "creche"

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        any_image: bool = False,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Connect to nothing yet.

        Args:
            url: the server's address.
            token: its `sandbox_token`; by default ``CRECHE_SANDBOX_TOKEN`` in the environment.
            any_image: accept specs that name an image, and ignore it.
            patience_seconds: how long to send a request again when its connection broke.

        Raises:
            ValueError: there is no token.
        """
        token = token or os.environ.get("CRECHE_SANDBOX_TOKEN")
        if not token:
            msg = "the creche provider needs the server's sandbox_token: give token, or CRECHE_SANDBOX_TOKEN"
            raise ValueError(msg)
        # Theirs, and only to be had where NeMo Gym is installed.
        self._types: Any = import_module("nemo_gym.sandbox.providers.base")
        self._url = url
        self._any_image = any_image
        self._client = AsyncClient(url, patience_seconds=patience_seconds)
        self._sandboxes = AsyncSandboxes(self._client, token)

    async def create(self, spec: Any) -> Any:
        """Make a sandbox that can be used at once, and return its handle.

        Raises:
            SandboxCreateError: NeMo Gym's. The spec asks for what there is not, or none could be had.
        """
        failed = self._types.SandboxCreateError
        lacking = self._lacking(spec)
        if lacking:
            msg = f"a creche sandbox has no {', no '.join(lacking)}"
            raise failed(msg)
        wishes: dict[str, Any] = {"env": dict(spec.env), "limits": _limits(spec)}
        wishes |= {} if spec.workdir is None else {"workdir": spec.workdir}
        wishes |= {} if spec.ttl_s is None else {"ttl_seconds": spec.ttl_s}
        wishes |= {} if spec.ready_timeout_s is None else {"wait_seconds": spec.ready_timeout_s}
        try:
            sandbox = await self._sandboxes.create(**wishes)
        except (Refused, Unreachable) as error:
            msg = f"{self._url}: {error}"
            raise failed(msg) from error
        return self._handle(sandbox)

    async def exec(
        self,
        handle: Any,
        command: str,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        user: str | int | None = None,
    ) -> Any:
        """Run a command; its exit code is a result, and so is a sandbox that could not run it (125).

        Raises:
            ValueError: `user` is given: a sandbox has one.
        """
        if user is not None:
            msg = f"a creche sandbox has one user, so a command cannot run as {user!r}"
            raise ValueError(msg)
        result = self._types.SandboxExecResult
        try:
            done = await _of(handle).execute(command, cwd=cwd, env=env, timeout_seconds=timeout_s)
        except (Refused, Unreachable) as error:
            return result(stdout="", stderr=str(error), return_code=_RUNTIME_FAILURE, error_type="sandbox")
        return result(done.stdout, done.stderr, done.return_code, done.error_type)

    async def python(self, handle: Any, code: str, *, timeout_s: float | None = None) -> CallReply:
        """Run a cell in the sandbox's interpreter, which keeps its variables from cell to cell."""
        return await _of(handle).python(code, timeout_seconds=timeout_s)

    async def upload_file(self, handle: Any, source_path: Path, target_path: str) -> None:
        """Copy a local file into the sandbox; a relative target is in its working directory."""
        await _of(handle).upload(target_path, await anyio.Path(source_path).read_bytes())

    async def download_file(self, handle: Any, source_path: str, target_path: Path) -> None:
        """Copy a file of the sandbox here."""
        content = await _of(handle).download(source_path)
        target = anyio.Path(target_path)
        await target.parent.mkdir(parents=True, exist_ok=True)
        await target.write_bytes(content)

    async def status(self, handle: Any) -> Any:
        """Return whether it runs; UNKNOWN where the server does not know it or cannot be asked."""
        try:
            status = await _of(handle).status()
        except (Refused, Unreachable):
            return self._types.SandboxStatus.UNKNOWN
        return self._types.SandboxStatus(status)

    async def close(self, handle: Any) -> None:
        """End a sandbox and wait until nothing of it is left. Any number of times."""
        await _of(handle).close()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.__aexit__()

    async def serialize_handle(self, handle: Any, *, scope: str | None = None) -> dict[str, Any]:
        """Return what another process needs, besides the token, to use the sandbox."""
        del scope  # who has the token may do everything
        sandbox = _of(handle)
        return {"provider": self.name, "url": self._url, "sandbox_id": sandbox.id, "workdir": sandbox.workdir}

    async def connect(self, descriptor: Mapping[str, Any]) -> Any:
        """Return a handle to a sandbox that another process has made.

        Raises:
            RuntimeError: it does not run.
        """
        sandbox = self._sandboxes.attach(descriptor["sandbox_id"], descriptor.get("workdir") or "/workspace")
        handle = self._handle(sandbox)
        status = await self.status(handle)
        if status is not self._types.SandboxStatus.RUNNING:
            msg = f"sandbox {sandbox.id} on {self._url} is not running but {status.value}"
            raise RuntimeError(msg)
        return handle

    def _lacking(self, spec: Any) -> list[str]:
        lacking: list[str] = []
        if spec.image is not None and not self._any_image:
            lacking.append(f"image such as {spec.image!r} (unless any_image: true says that none is needed)")
        if spec.entrypoint:
            lacking.append("entry point")
        if spec.ports:
            lacking.append("ports")
        if spec.resources.gpu:
            lacking.append("GPU")
        return lacking

    def _handle(self, sandbox: AsyncSandbox) -> Any:
        return self._types.SandboxHandle(sandbox_id=sandbox.id, provider_name=self.name, raw=sandbox)


def _limits(spec: Any) -> dict[str, float]:
    """Return the bounds that a spec asks for; processor time is shared by all sandboxes as it comes."""
    limits = dict(spec.provider_options.get("limits", {}))
    if spec.resources.memory_mib is not None:
        limits["memory_bytes"] = spec.resources.memory_mib * _MIB
    if spec.resources.disk_gib is not None:
        limits["disk_bytes"] = spec.resources.disk_gib * _GIB
    return limits


def _of(handle: Any) -> AsyncSandbox:
    sandbox: AsyncSandbox = handle.raw
    return sandbox
