"""The shapes of replies, for the description. A test holds real replies against what is made from them.

Every one of them is open: a reply may have more keys than are named here.
"""

from __future__ import annotations

from typing import Any, Literal

import attrs

from sandbox.observation import Outcome
from sandbox.posture import Posture


@attrs.frozen
class Closed:
    """Empty, or the environment server's id again."""

    resources_session_id: str = ""


@attrs.frozen
class Access:
    """The way in for MCP clients: a path of this server, and headers to bring along."""

    server_name: str
    url_path: str
    transport: Literal["http"]
    headers: dict[str, str]


@attrs.frozen
class Seeded:
    """The session can be used.

    Empty for a row, but for ``mcp`` where the server is set up for MCP clients. An environment server gets
    its id back, and the same way in as ``resources_tools``.
    """

    mcp: Access | None = None
    resources_session_id: str = ""
    resources_tools: Access | None = None
    sandbox_access: Any = None


@attrs.frozen
class Alive:
    """It answers."""

    status: Literal["ok"]


@attrs.frozen
class Phases:
    """How many sessions are in which phase, and how many may have a sandbox at once."""

    waiting: int
    seeding: int
    live: int
    over: int
    at_most: int


@attrs.frozen
class Health:
    """It answers, and says what with: the environment, the isolation in force, the sessions."""

    status: Literal["ok"]
    environment: str
    tier: str
    posture: Posture
    sandboxes: int
    sessions: Phases


@attrs.frozen
class ToolDefinition:
    """A function definition, as `responses_create_params.tools` takes it."""

    type: Literal["function"]
    name: str
    description: str
    parameters: dict[str, Any]
    strict: bool


@attrs.frozen
class Observed:
    """What came of a tool call. A tool adds keys of its own.

    ``result`` is what it returned. Of each stream the head and the tail are kept; ``truncated`` names those
    that were longer. After ``interpreter_reset`` variables are gone, files are not.
    """

    outcome: Outcome
    result: Any = None
    stdout: str = ""
    stderr: str = ""
    error: str = ""
    interpreter_reset: bool = False
    truncated: tuple[str, ...] = ()


@attrs.frozen
class Verified:
    """The whole request again, with the verdict.

    A rollout with ``mask_sample`` failed on the server's side and must not be trained on; ``failure_kind``
    and ``failure_reason`` say why. Environments add fields of their own. ``receipt`` says, signed, what
    the verdict was made from.
    """

    reward: float
    tier: str
    receipt: dict[str, Any]
    mask_sample: bool = False
    failure_kind: str = ""
    failure_reason: str = ""


@attrs.frozen
class Opened:
    """An episode can be played by steps.

    ``observation`` is a message to add to the prompt, if there is one. ``info`` says what an agent can rely
    on: that `/close` exists, and that a step which is sent again under its id is not taken again.
    """

    info: dict[str, Any]
    observation: str | None = None


@attrs.frozen
class Stepped:
    """What the model is to be shown next, or, when ``terminated``, what the episode was worth.

    ``info`` has the ``tool_outputs`` of the model's calls, each with its ``call_id``; at the end it has the
    verdict's fields. ``truncated`` is always false: an agent that stops early knows it.
    """

    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]
    observation: str | None = None


@attrs.frozen
class Report:
    """The metrics of a run: of each task, of all, the headlines among them, of each repeat."""

    group_level_metrics: list[dict[str, Any]]
    agent_metrics: dict[str, Any]
    key_metrics: dict[str, Any]
    perf_summary: dict[str, Any] | None
    repeat_level_metrics: list[dict[str, Any]]


@attrs.frozen
class Problem:
    """One thing that is wrong with a body: where, and what."""

    type: str
    loc: tuple[str | int, ...]
    msg: str
    input: Any


@attrs.frozen
class Refused:
    """Why the request was not served: a sentence, or the problems of its body one by one."""

    detail: str | tuple[Problem, ...]
