from __future__ import annotations

from typing import Any, cast

from server.http.app import create_app
from server.http.framework import Framework

KIB = 1024


class Client:
    """A client that sends a body in parts, and hangs up after it."""

    def __init__(self, *parts: bytes) -> None:
        self._messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": part, "more_body": number < len(parts)}
            for number, part in enumerate(parts, 1)
        ]

    async def receive(self) -> dict[str, Any]:
        return self._messages.pop(0) if self._messages else {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        pass

    async def ask(self, app: Framework, **scope: Any) -> None:
        asked = {
            "type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "path": "/",
            "headers": [], "query_string": b"", "root_path": "", "client": None, "server": None,
            "extensions": {}, **scope,
        }  # fmt: skip
        await app(asked, self.receive, cast("Any", self.send))


async def test_of_a_body_that_is_too_long_the_framework_gets_no_more_than_tells_it_so() -> None:
    got: list[bytes] = []

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        while (message := await receive()).get("more_body"):
            got.append(message["body"])

    await Client(*[bytes(KIB)] * 100, b"the end").ask(Framework(app, 10 * KIB))
    assert [KIB] * 11 + [0] * 89 == [len(part) for part in got]


async def test_of_a_body_that_is_not_too_long_nothing_is_lost() -> None:
    got: list[bytes] = []

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        while (message := await receive())["type"] == "http.request":
            got.append(message["body"])

    await Client(b"a" * KIB, b"b" * KIB).ask(Framework(app, 2 * KIB))
    assert [b"a" * KIB, b"b" * KIB] == got


async def test_a_client_that_hangs_up_before_it_is_answered_is_no_fault_of_the_application() -> None:
    app = cast("Any", create_app(body_bytes=KIB, body_seconds=1.0))
    # Whether it is answered all the same is chance; what is raised would be logged as a fault.
    await Client().ask(Framework(app, KIB), method="GET", path="/no/such/route")
