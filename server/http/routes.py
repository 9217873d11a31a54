"""What each route does: parse, act, render. Errors are not caught here; `app` turns each into its reply.

Every handler takes the request's `Visit`, and those of POST its whole body. NeMo Gym's protocol and the
model's tools share one namespace, since an agent posts to ``/{whatever name the model chose}``; so each of
these must be safe in the hands of a model.
"""

from __future__ import annotations

import hashlib
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from sandbox.frames import has_too_many_values
from server.aggregation.report import aggregate
from server.answers import arguments_too_long
from server.apart import apart
from server.errors import InvalidBody, NoSuchTool
from server.http.requests import CloseRequest, SeedRequest, VerifyRequest
from server.http.steps import StepRequest
from server.http.wire import Reply, dump, parse, parse_object
from server.mcp.tokens import access

if TYPE_CHECKING:
    from server.environment import Environment
    from server.http.visit import Visit

EMPTY = Reply(200, b"{}")
OK = Reply(200, b'{"status":"ok"}')

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]+")


async def seed_session(visit: Visit, body: bytes) -> Reply:
    """``POST /seed_session``: the dataset row, or an environment server's envelope around it.

    For a row: 200 ``{}``, or ``{"mcp": …}`` with the way in for MCP clients; also when no sandbox could be
    had: `/verify` says so then, since any other status here ends NeMo Gym's whole run. For an envelope: 200
    with its id; 503 when no sandbox could be had, 409 when the id has been closed. 409 when the cookie's
    session has another row and lives or was neither verified nor closed, 422 when the row does not fit the
    environment.
    """
    request = SeedRequest.parse(body, visit.sessions.task_type, visit.rollout)
    visit.session_id = await visit.sessions.seed(request, visit.session_id, visit.known_id, visit.name)
    visit.has_seeded = True
    session = visit.sessions.find(visit.session_id) if visit.offers_mcp else None
    way_in = None if session is None else access(session, visit.sessions.environment.name)
    if request.episode is None:
        return EMPTY if way_in is None else Reply(200, dump({"mcp": way_in}))
    session_id = request.episode.session_id
    return Reply(
        200,
        dump({"resources_session_id": session_id, "resources_tools": way_in, "sandbox_access": None}),
    )


async def call_tool(visit: Visit, name: str, body: bytes) -> Reply:
    """``POST /<tool>``: the arguments, an object; an empty body is an empty one.

    200 with what the environment makes of the observation, whatever the tool's outcome. 404 for an unknown
    tool or no session, 409 after the session's end, 422 for wrong arguments.
    """
    tool = visit.sessions.environment.toolbox.tools.get(name)
    if tool is None or not _TOOL_NAME.fullmatch(name):
        raise NoSuchTool
    await visit.sessions.demand(visit.known_id, name)  # before anything is said of what the tool takes
    if has_too_many_values(body):  # before they are read: that takes seconds, in which nobody is served
        raise arguments_too_long()
    arguments: Any = parse(body)
    if arguments is None:
        arguments = {}
    problems = tool.problems(arguments)
    if problems:
        raise InvalidBody([dict(problem) for problem in problems])
    key = hashlib.sha256(name.encode() + b"\0" + body).digest()
    return await visit.attend(await visit.sessions.call(visit.known_id, name, arguments, key, visit.name))


async def verify(visit: Visit, body: bytes) -> Reply:
    """``POST /verify``: the row as seeded, and ``response``, the trajectory.

    200 with the whole body again and the verdict's fields; ``mask_sample`` among them when the rollout must
    not count. 404 as for an unknown tool when the row is not the seeded one, 422 without a response.
    """
    ground = visit.sessions.ground
    with ground.work:
        request = await apart(len(body), partial(_read_verify, body), ground.long_bodies)
        fields = await visit.sessions.finish(visit.known_id, request)
        echo = partial(request.echo, fields, fields["receipt"]["state"])
        return Reply(200, await apart(len(body), echo, ground.long_bodies))


def _read_verify(body: bytes) -> VerifyRequest:
    request = VerifyRequest.parse(body)
    request.check()
    return request


async def close_session(visit: Visit, body: bytes) -> Reply:
    """``POST /close_session``: end a session without a verdict. 200 however often.

    The body shows whose it is: an environment server's ids, which need no cookie, or the row with which the
    cookie's session was seeded. 404 as for an unknown tool when it does not.
    """
    request = CloseRequest.parse(body)
    await visit.sessions.close(visit.known_id, request)
    if request.episode is None:
        return EMPTY
    return Reply(200, dump({"resources_session_id": request.episode.session_id}))


async def aggregate_metrics(visit: Visit, body: bytes) -> Reply:
    """``POST /aggregate_metrics``: the report of a run, from its verify replies.

    404 as for an unknown tool from within a live session, where only a model can be asking.
    """
    if visit.sessions.is_live(visit.known_id):
        raise NoSuchTool
    # A large run takes seconds, in which others want to be served, and many at once would take all threads.
    limiter = visit.sessions.ground.reports
    return await trio.to_thread.run_sync(_report, visit.sessions.environment, body, limiter=limiter)


def _report(environment: Environment[Any], body: bytes) -> Reply:
    return Reply(200, dump(aggregate(environment, parse_object(body))))


async def reset(visit: Visit, body: bytes) -> Reply:
    """``POST /reset``: the dataset row; begins an episode that is played by `/step`.

    200 with an ``observation`` if the environment has one. 503 when no sandbox could be had. 409 as for
    `/seed_session`, or when the cookie's session has taken steps, 422 when the row does not fit the
    environment.
    """
    request = SeedRequest.parse(body, visit.sessions.task_type, visit.rollout)
    if request.episode is not None:
        words = "Environment servers use /seed_session"
        loc = ["body", "resources_session_id"]
        raise InvalidBody([{"type": "extra_forbidden", "loc": loc, "msg": words, "input": None}])
    visit.session_id = await visit.sessions.seed(request, visit.session_id, visit.known_id, visit.name)
    visit.has_seeded = True
    return await visit.attend(visit.sessions.stepping.open(visit.session_id))


async def step(visit: Visit, body: bytes) -> Reply:
    """``POST /step``: the row as it was reset, and ``response``, what the model has answered.

    200 with the outputs of the calls in it, or with the environment's next message, or, when there is none,
    with the reward: then the session is over. 404 as for an unknown tool when the session was not begun by
    `/reset`, 503 when there is no reward through no fault of the model.
    """
    ground = visit.sessions.ground
    with ground.work:
        request, key = await apart(len(body), partial(_read_step, body), ground.long_bodies)
        exchange = visit.sessions.stepping.step(visit.known_id, request, key, visit.name)
    return await visit.attend(exchange)


def _read_step(body: bytes) -> tuple[StepRequest, bytes]:
    return StepRequest.parse(body), hashlib.sha256(body).digest()


async def close(visit: Visit, body: bytes) -> Reply:
    """``POST /close``: end an episode that was begun by `/reset`. 200 however often.

    404 as for an unknown tool in any other live session.
    """
    parse_object(body)
    await visit.sessions.stepping.close(visit.known_id)
    return EMPTY


def tools(visit: Visit) -> Reply:
    """``GET /tools``: the tools as function definitions, for ``responses_create_params.tools``."""
    return Reply(200, dump(visit.sessions.environment.toolbox.definitions()))


def reverify_mode(visit: Visit) -> Reply:
    """``GET /reverify_mode``: ``"stateless"`` when stored rollouts can be verified without a session."""
    return Reply(200, dump(visit.sessions.reverify_mode))


def alive(_: Visit) -> Reply:
    """``GET /``, ``/healthz``, ``/livez``, ``/readyz``: that the server answers."""
    return OK


def health(visit: Visit) -> Reply:
    """``GET /health``: the same, with the tier in force and how many sessions are in which phase."""
    sessions = visit.sessions
    return Reply(200, dump({"status": "ok", "environment": sessions.environment.name, **sessions.describe()}))
