"""The OpenAPI document of a server, made from what it runs on.

That is: the table of operations, the environment's task class, its tools' schemas, the table of errors. What
is written here by hand is words.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from server.description import replies
from server.environment import Environment
from server.errors import STATUS, NotJson, Unauthorised
from server.http.operations import CALL_ERRORS, OPERATIONS, Body, Get, Post
from server.sandboxes.routes import OPERATIONS as SANDBOX_OPERATIONS
from server.sandboxes.routes import Operation as SandboxOperation
from server.sessions.episodes import CloseEnvelope, SeedEnvelope
from server.version import HEADER, VERSION

if TYPE_CHECKING:
    from tools.registry import Tool

Json = dict[str, Any]

_TEMPLATE = "#/components/schemas/{name}"
_SHAPES = (
    replies.Refused,
    replies.Observed,
    SeedEnvelope,
    CloseEnvelope,
    *dict.fromkeys(operation.reply for operation in OPERATIONS),
)

_SANDBOX_SHAPES = tuple(
    shape
    for step in SANDBOX_OPERATIONS
    for shape in (step.takes, step.reply)
    if shape is not None and shape is not bytes
)

_COOKIE = (
    "The session's cookie: every reply sets it, and every request of a rollout brings the last one back. "
    "Its name is the deployment's own."
)
_NAMED = "A call that is sent again under the same key is answered again and not executed again."


@lru_cache(maxsize=2)
def document(environment: Environment[Any], *, has_sandboxes: bool = False) -> Json:
    """Return the OpenAPI 3.1 document of a server of `environment`. Not to be changed: it is kept.

    Args:
        environment: what it plays.
        has_sandboxes: whether it gives out sandboxes by themselves, too.
    """
    schemas = _schemas(environment)
    paths: dict[str, Json] = {}
    for operation in OPERATIONS:
        paths[operation.path] = _get(operation) if isinstance(operation, Get) else _post(operation)
    for tool in environment.toolbox.tools.values():
        paths[f"/{tool.name}"] = _call(environment, tool)
    if has_sandboxes:
        schemas = {**schemas, **_named_schemas(_SANDBOX_SHAPES)}
        for step in SANDBOX_OPERATIONS:
            paths.setdefault(step.path, {})[step.method.lower()] = _step(step)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Creche: {environment.name}",
            "version": VERSION,
            "description": inspect.getdoc(type(environment)) or "",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}} if has_sandboxes else {},
            "headers": {
                "version": {
                    "description": "The server's version.",
                    "schema": {"type": "string"},
                    "required": True,
                },
                "cookie": {"description": _COOKIE, "schema": {"type": "string"}, "required": True},
            },
        },
    }


def _schemas(environment: Environment[Any]) -> dict[str, Json]:
    """Return all named shapes; those of the environment's own are taken as they come, or left open."""
    named = _named_schemas(_SHAPES)
    task = environment.task_type()
    try:
        (row,), more = msgspec.json.schema_components(
            (task,), schema_hook=_leave_open, ref_template=_TEMPLATE
        )
    except TypeError:  # a shape that cattrs was taught and msgspec was not
        row, more = {"type": "object"}, {}
    named = {**more, **named}
    named["Row"] = {
        "description": "A row of the data set. Keys that are not named here pass through.",
        "allOf": [row],
    }
    return {name: _tidy(schema) for name, schema in named.items()}


def _named_schemas(shapes: Iterable[type]) -> dict[str, Json]:
    _, named = msgspec.json.schema_components(shapes, ref_template=_TEMPLATE)
    return {name: _tidy(schema) for name, schema in named.items()}


def _leave_open(_: type) -> Json:
    return {}


def _tidy(schema: Json) -> Json:
    """Undo the indentation of a docstring, which Markdown would take for code."""
    if "description" in schema:
        schema = {**schema, "description": inspect.cleandoc(schema["description"])}
    return schema


def _get(operation: Get) -> Json:
    return {
        "get": _told(operation.answer, operation.path, "get") | {"responses": _responses(operation.reply)}
    }


def _post(operation: Post) -> Json:
    told = _told(operation.answer, operation.path, "post")
    responses = _responses(operation.reply, (NotJson, *operation.errors))
    return {
        "post": {**told, "parameters": [_NAME], "requestBody": _takes(operation.body), "responses": responses}
    }


def _step(operation: SandboxOperation) -> Json:
    """Describe a route for sandboxes."""
    told = _told(operation.answer, operation.path, operation.method.lower())
    told |= {"tags": ["sandboxes"], "parameters": [], "security": [{"token": []}]}
    if "{sandbox_id}" in operation.path:
        told["parameters"].append(_in("path", "sandbox_id", "Of the reply to POST /sandboxes."))
    if operation.path.endswith("/files"):
        told["parameters"].append(_in("query", "path", "The file; relative to the sandbox's workdir."))
    if operation.takes is not None:
        told["parameters"].append(_NAME)
        told["requestBody"] = {**_content(operation.takes), "required": True}
    responses = _responses(operation.reply, (Unauthorised, *operation.errors), operation.status)
    return {**told, "responses": responses}


def _in(place: str, name: str, words: str) -> Json:
    return {"name": name, "in": place, "required": True, "description": words, "schema": {"type": "string"}}


def _content(shape: Any) -> Json:
    """Return the content of a body of that shape; `bytes` is a file's."""
    if shape is bytes:
        return {"content": {"application/octet-stream": {"schema": {}}}}
    return _json(_schema_of(shape))


def _call(environment: Environment[Any], tool: Tool) -> Json:
    schema = tool.schema()
    responses = _responses(_answer_of(environment, tool), CALL_ERRORS)
    return {
        "post": {
            "operationId": f"call_{tool.name}",
            "tags": ["tools"],
            "summary": f"Call the tool {tool.name}",
            "description": tool.description,
            "parameters": [_NAME],
            "requestBody": _json(schema) | {"required": bool(schema["required"])},
            "responses": responses,
        }
    }


def _answer_of(environment: Environment[Any], tool: Tool) -> type | Json:
    """Say what a call answers: environments may word answers, and tools their results."""
    worded_by = next(klass for klass in type(environment).__mro__ if "reply" in vars(klass))
    return replies.Observed if worded_by is Environment and tool.streams else {}


def _takes(body: Body) -> Json:
    if body == "row":
        return _json({"anyOf": [_named("Row"), _named("SeedEnvelope")]}) | {"required": True}
    if body == "bare row":
        return _json(_named("Row")) | {"required": True}
    if body == "nothing":
        return _json({"type": "object"}) | {"required": False}
    if body == "close":
        row = {
            "description": "The row with which the cookie's session was seeded.",
            "type": "object",
            "not": {"required": ["resources_session_id"]},
        }
        return _json({"anyOf": [row, _named("CloseEnvelope")]}) | {"required": True}
    if body == "rollouts":
        rollouts = {
            "description": "What the verifies of a run were answered.",
            "type": "object",
            "properties": {"verify_responses": {"type": "array", "items": _VERIFIED}},
            "required": ["verify_responses"],
        }
        return _json(rollouts) | {"required": True}
    response: Json = {"type": "object", "description": "The trajectory. It passes through as it is."}
    if body == "step":
        items = {"type": "array", "items": {"type": "object"}}
        response = {
            "type": "object",
            "description": "What the model has answered: text, or calls of tools.",
            "properties": {"output": items},
            "required": ["output"],
        }
    rollout = {
        "description": "The row as it was seeded, and the response.",
        "type": "object",
        "properties": {"response": response},
        "required": ["response"],
    }
    return _json(rollout) | {"required": True}


_VERIFIED: Json = {
    "type": "object",
    "properties": {"_ng_task_index": {"type": "integer"}, "_ng_rollout_index": {"type": "integer"}},
}


def _named(shape: str) -> Json:
    return {"$ref": _TEMPLATE.format(name=shape)}


_NAME: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": _NAMED,
    "schema": {"type": "string"},
}


def _told(answer: Any, path: str, method: str) -> Json:
    """Return what a handler's docstring says, without the path that it begins with."""
    text = inspect.getdoc(answer) or ""
    summary, _, rest = re.sub(r"^``.*?``: ", "", text, flags=re.DOTALL).partition("\n\n")
    summary = " ".join(summary.split())
    name = re.sub(r"\W+", "_", path.strip("/{}")) or "root"
    return {
        "operationId": f"{method}_{name}",
        "tags": ["protocol" if method == "post" else "server"],
        "summary": summary[:1].upper() + summary[1:],
        "description": rest,
    }


def _responses(reply: Any, errors: Iterable[type[Exception]] = (), status: int = 200) -> Json:
    """Return what comes when all is well, and a response for each status that one of the errors has."""
    found = {str(int(status)): _response("As asked.", reply)}
    reasons: dict[int, list[str]] = {}
    for error in errors:
        reasons.setdefault(STATUS[error], []).append((inspect.getdoc(error) or "").partition("\n")[0])
    if reasons:
        reasons[HTTPStatus.REQUEST_ENTITY_TOO_LARGE] = ["The body is longer than this server takes."]
    for refusal, words in sorted(reasons.items()):
        found[str(int(refusal))] = _response(" Or: ".join(words), replies.Refused)
    found["500"] = _response("A bug of this server; the log has the incident.", replies.Refused)
    return found


def _response(description: str, reply: Any) -> Json:
    headers = {
        HEADER: {"$ref": "#/components/headers/version"},
        "Set-Cookie": {"$ref": "#/components/headers/cookie"},
    }
    return {"description": description, "headers": headers, **_content(reply)}


def _schema_of(reply: Any) -> Json:
    if isinstance(reply, dict):
        return reply  # pyright: ignore[reportUnknownVariableType]  # a schema, given as it is
    (schema,), _ = msgspec.json.schema_components((reply,), ref_template=_TEMPLATE)
    return schema


def _json(schema: Json) -> Json:
    return {"content": {"application/json": {"schema": schema}}}
