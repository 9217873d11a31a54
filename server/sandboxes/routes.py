"""``/sandboxes``: parse, act, render. Every one of these routes asks for the token first."""

from __future__ import annotations

import hashlib
import hmac
import posixpath
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import attrs
from quart import request
from quart_trio.wrappers import TrioResponse

from server.description.replies import Observed
from server.errors import (
    InvalidBody,
    NoSandbox,
    NoSuchSession,
    NotJson,
    SessionOver,
    ShuttingDown,
    TooLong,
    Unauthorised,
)
from server.http.framework import asked
from server.http.shapes import structure
from server.http.wire import Reply, dump, parse
from server.observations import render
from server.sandboxes.errands import get_file, put_file, result_of
from server.sandboxes.requests import Create, Deleted, Execute, Executed, Made, Run, Status, Written
from tools.shipped import SHIPPED

if TYPE_CHECKING:
    from quart_trio import QuartTrio

    from sandbox.box import Box
    from server.http.visit import Visit
    from server.sandboxes.live import Errand, LiveSandbox
    from server.sandboxes.registry import Sandboxes

_PYTHON = SHIPPED["python"]


@attrs.frozen
class Routes:
    """The handlers.

    Args:
        sandboxes: what they are about.
        token: what a request must bring.
        body_bytes: the longest file that is given out.
    """

    _sandboxes: Sandboxes
    _token: str = attrs.field(repr=False)
    _body_bytes: int

    def add_to(self, app: QuartTrio) -> None:
        """Add all routes to an application."""
        app.config["HAS_SANDBOXES"] = True
        for operation in OPERATIONS:
            self._add(app, operation)

    def _add(self, app: QuartTrio, operation: Operation) -> None:
        kind = "application/octet-stream" if operation.reply is bytes else "application/json"

        async def view(**arguments: str) -> TrioResponse:
            body = cast("bytes", await request.get_data())
            self._check()
            reply = await operation.answer(self, asked(), body, **arguments)
            return TrioResponse(reply.body, status=reply.status, content_type=kind)

        path = operation.path.replace("{", "<").replace("}", ">")
        endpoint = f"{operation.method} {path}"
        app.add_url_rule(path, endpoint, view, methods=[operation.method], provide_automatic_options=False)

    def _check(self) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.encode(), self._token.encode()):
            msg = (
                "Sandboxes are for whoever has the server's token: send it as 'Authorization: Bearer TOKEN'."
            )
            raise Unauthorised(msg)

    async def create(self, visit: Visit, body: bytes) -> Reply:
        """``POST /sandboxes``: a new sandbox. 201 once it can be used, 503 when none can be had."""
        sandbox = await self._sandboxes.create(structure(_object(body), Create), visit.name)
        made = Made(sandbox.id, sandbox.request.workdir, sandbox.limits.session_seconds)
        return Reply(HTTPStatus.CREATED, dump(attrs.asdict(made)))

    async def status(self, visit: Visit, body: bytes, sandbox_id: str) -> Reply:
        """``GET /sandboxes/<id>``: whether it runs."""
        del visit, body
        sandbox = self._sandboxes.get(sandbox_id)
        is_over = sandbox.over.is_set()
        status = Status("stopped" if is_over else "running", sandbox.ended_by if is_over else None)
        return Reply(200, dump(attrs.asdict(status)))

    async def delete(self, visit: Visit, body: bytes, sandbox_id: str) -> Reply:
        """``DELETE /sandboxes/<id>``: end it, and answer when nothing is left of it. 200 however often."""
        del visit, body
        await self._sandboxes.close(sandbox_id)
        return Reply(200, b"{}")

    async def execute(self, visit: Visit, body: bytes, sandbox_id: str) -> Reply:
        """``POST /sandboxes/<id>/exec``: run a command; 200 whatever it came to."""
        sandbox = self._sandboxes.get(sandbox_id)
        wish = structure(_object(body), Execute)
        _check_seconds(wish.timeout_seconds)
        cwd = posixpath.join(sandbox.request.workdir, wish.cwd or "")
        env = {**sandbox.request.env, **wish.env}

        async def errand(box: Box) -> Reply:
            return Reply(
                200, dump(result_of(await sandbox.execute(box, wish.command, cwd, env, wish.timeout_seconds)))
            )

        return await _attend(visit, sandbox, errand, b"exec", body)

    async def python(self, visit: Visit, body: bytes, sandbox_id: str) -> Reply:
        """``POST /sandboxes/<id>/python``: run a cell in the interpreter that stays open."""
        sandbox = self._sandboxes.get(sandbox_id)
        wish = structure(_object(body), Run)
        _check_seconds(wish.timeout_seconds)

        async def errand(box: Box) -> Reply:
            observation = await box.call(
                _PYTHON.name, {"code": wish.code}, seconds=wish.timeout_seconds, is_logged=False
            )
            return Reply(200, dump(render(_PYTHON, observation)))

        return await _attend(visit, sandbox, errand, b"python", body)

    async def upload(self, visit: Visit, body: bytes, sandbox_id: str) -> Reply:
        """``PUT /sandboxes/<id>/files?path=…``: write a file; the body is its content."""
        sandbox = self._sandboxes.get(sandbox_id)
        path = _path(sandbox)

        async def errand(box: Box) -> Reply:
            await put_file(box, path, body)
            return Reply(200, dump({"bytes": len(body)}))

        return await _attend(visit, sandbox, errand, b"put\0" + path.encode("utf-8", "replace"), body)

    async def download(self, visit: Visit, body: bytes, sandbox_id: str) -> Reply:
        """``GET /sandboxes/<id>/files?path=…``: read a file; the reply is its content."""
        del visit, body
        sandbox = self._sandboxes.get(sandbox_id)
        path = _path(sandbox)

        async def errand(box: Box) -> Reply:
            return Reply(200, await get_file(box, path, self._body_bytes))

        return await sandbox.look(errand)


async def _attend(visit: Visit, sandbox: LiveSandbox, errand: Errand, kind: bytes, body: bytes) -> Reply:
    key = hashlib.sha256(kind + b"\0" + body).digest()
    return await visit.attend(sandbox.begin(errand, key, visit.name))


def _object(body: bytes) -> Any:
    value = parse(body)
    return {} if value is None else value


def _path(sandbox: LiveSandbox) -> str:
    path = request.args.get("path", "")
    if not path:
        raise InvalidBody(
            [{"type": "missing", "loc": ["query", "path"], "msg": "Field required", "input": None}]
        )
    return posixpath.join(sandbox.request.workdir, path)


def _check_seconds(seconds: float | None) -> None:
    if seconds is not None and not seconds > 0:
        problem = _problem("greater_than", ["body", "timeout_seconds"], "Input should be greater than 0")
        raise InvalidBody([problem])


def _problem(kind: str, loc: list[str], words: str) -> dict[str, Any]:
    return {"type": kind, "loc": loc, "msg": words, "input": None}


@attrs.frozen
class Operation:
    """One route, as data: the application and its description are made from it.

    Attributes:
        method: the HTTP method.
        path: with ``{sandbox_id}`` where the id goes.
        answer: who answers it; its docstring is the description.
        takes: the shape of the body; `bytes` for a file's content, None for nothing.
        reply: the shape of the answer; `bytes` for a file's content.
        status: of that answer.
        errors: what else may come of it, besides a missing token.
    """

    method: str
    path: str
    answer: Callable[..., Awaitable[Reply]]
    takes: type | None
    reply: type
    status: int = HTTPStatus.OK
    errors: tuple[type[Exception], ...] = ()


_ONE = "/sandboxes/{sandbox_id}"
_USE = (InvalidBody, NoSuchSession, SessionOver, ShuttingDown)

OPERATIONS = (
    Operation(
        "POST",
        "/sandboxes",
        Routes.create,
        Create,
        Made,
        HTTPStatus.CREATED,
        (NotJson, InvalidBody, NoSandbox),
    ),
    Operation("GET", _ONE, Routes.status, None, Status, errors=(NoSuchSession,)),
    Operation("DELETE", _ONE, Routes.delete, None, Deleted),
    Operation("POST", f"{_ONE}/exec", Routes.execute, Execute, Executed, errors=(NotJson, TooLong, *_USE)),
    Operation("POST", f"{_ONE}/python", Routes.python, Run, Observed, errors=(NotJson, TooLong, *_USE)),
    Operation("PUT", f"{_ONE}/files", Routes.upload, bytes, Written, errors=(TooLong, *_USE)),
    Operation("GET", f"{_ONE}/files", Routes.download, None, bytes, errors=(TooLong, *_USE)),
)
