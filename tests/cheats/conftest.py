"""Servers of the shipped environments, and the way to them over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import httpx
import pytest

from server.loading import load_environment
from server.playing.connection import Answer
from tests.whole.servers import Server, creche

if TYPE_CHECKING:
    from tools.registry import Tool


_OWN = Path(__file__).with_name("environments.py")
BRIEF, BOXED = f"{_OWN}:Brief", f"{_OWN}:Boxed"
ENVIRONMENTS = ("code_gen", "terminal", "workbench", "string_match", BRIEF, BOXED)


@attrs.frozen
class OverHttp:
    """Sends requests to a server as an agent does."""

    client: httpx.AsyncClient

    async def post(self, path: str, body: bytes, cookie: str | None) -> Answer:
        """Send one request, with the cookie that is given and no other."""
        headers = {"content-type": "application/json"} | ({"cookie": cookie} if cookie is not None else {})
        reply = await self.client.post(path, content=body, headers=headers)
        self.client.cookies.clear()
        cookies = reply.headers.get_list("set-cookie")
        return Answer(reply.status_code, reply.text, cookies[-1].partition(";")[0] if cookies else None)


@pytest.fixture(name="servers", scope="session")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """Give the servers of the shipped environments, and of those that are like them, by name."""
    with ExitStack() as stack:
        yield {
            environment: stack.enter_context(
                creche(tmp_path_factory.mktemp("server"), environment, "--set", "standby=0")
            )
            for environment in ENVIRONMENTS
        }


def tools_of(environment: str) -> dict[str, Tool]:
    """Return an environment's tools by name."""
    return dict(load_environment(environment).toolbox.tools)
