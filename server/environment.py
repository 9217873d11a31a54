"""What users write: an environment says which tools a session has, what is in it, and what it was worth.

    @attrs.frozen
    class Task:
        question: str
        expected: str

    class Arithmetic(Environment[Task]):
        tools = ("python", "bash")

        async def seed_session(self, session: Session, task: Task) -> None:
            await session.write_file("question.txt", task.question)

        async def verify(self, rollout: Rollout[Task]) -> Verdict:
            answer = rollout.final_state.text("answer.txt", default="")
            return Verdict(reward=float(answer.strip() == rollout.task.expected))

One instance serves all sessions, so it keeps nothing of a single one in itself. `seed_session` runs before
any code of the model; `verify` runs after every process of the session is dead, and all that it
gets is a `Rollout`: there is no way to ask a live session for a verdict about itself. The task carries the
ground truth and stays on this side; only what `seed_session` writes goes in.

An exception of `seed_session` or `verify` is *our* failure: the rollout is masked, never scored 0.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, get_args, get_origin

import attrs

from sandbox.profile import Profile
from server.sessions.claims import READER, read_claims
from server.sessions.files import write_file
from server.toolbox import Toolbox
from server.verify.verdicts import JudgeFailedError
from tools.shapes import is_dict, is_list

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from sandbox.box import Box
    from sandbox.final_state import FinalState
    from sandbox.launcher import Launcher
    from sandbox.limits import Limits
    from sandbox.observation import CallRecord, Observation
    from server.verify.judge.model import JudgeModel
    from tools.registry import Tool

TaskT = TypeVar("TaskT")


class Environment(Generic[TaskT]):
    """Subclass this; `TaskT` is an `attrs.frozen` class that names the row fields you use.

    A row's other keys (`responses_create_params`, `agent_ref`, …) are ignored, the ones named are checked
    strictly. Without a type argument the task is the row itself, a mapping.

    Attributes:
        name: what it is called in logs and in `/health`; by default the class name in snake_case.
        tools: what the model may call: names of shipped tools (``"python"``, ``"bash"``, ``"read_file"``,
            ``"write_file"``, ``"edit_file"``, ``"list_files"``) and functions decorated with `@tool`.
        profile: what sessions start from. Its handlers are filled in from `tools`.
        verifier: what `Rollout.open_sandbox` starts from; None is the shipped one (`server.verify`).
        stateless: whether `verify` needs the response only, and no final state. Such rollouts can be
            verified again without a session.
        final_variables: global variables of the `python` tool's interpreter whose values are asked for when a
            session is verified, just before it is killed. See `Rollout.claimed`.
        final_variables_seconds: how long that may take.
        examples: rows to try it with: `creche redteam` plays them. An ``oracle`` in one of them, ``{"calls":
            [[tool, arguments], …], "text": …}``, is the rollout that does the task.
    """

    name: ClassVar[str] = ""
    tools: ClassVar[tuple[str | Tool, ...]] = ()
    profile: ClassVar[Profile] = Profile()
    verifier: ClassVar[Profile | None] = None
    stateless: ClassVar[bool] = False
    final_variables: ClassVar[tuple[str, ...]] = ()
    final_variables_seconds: ClassVar[float] = 5.0
    examples: ClassVar[Sequence[Mapping[str, Any]]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Give the subclass its default name."""
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()

    async def seed_session(self, session: Session, task: TaskT) -> None:
        """Prepare the session's files from the row. Runs once, before any code of the model.

        The session's call deadline holds for each write, the session deadline for all of it.
        """

    async def observe(
        self,
        session: Session,  # noqa: ARG002  # for subclasses to use
        task: TaskT,  # noqa: ARG002  # likewise
        said: Sequence[str],  # noqa: ARG002  # likewise
    ) -> str | None:
        """Return the next message to the model, where an agent plays by `/reset` and `/step`.

        Asked at `/reset`, when nothing was said yet: None leaves the prompt as the row has it. Asked after
        each turn of the model that calls no tool: None ends the episode, which is then verified.

        Args:
            session: it lives, and what it holds is what the model has made of it.
            task: the row.
            said: what the model has said in its turns without a call, in order.
        """
        return None

    async def verify(self, rollout: Rollout[TaskT]) -> Verdict:
        """Judge what a dead session left behind. Runs once per session; the verdict is remembered."""
        raise NotImplementedError

    def limits(self, task: TaskT) -> Mapping[str, float]:  # noqa: ARG002  # for subclasses to use
        """Return limits that this row wants lower than the server's, by the names in `sandbox.limits`."""
        return {}

    def allowed_tools(self, task: TaskT) -> Collection[str] | None:  # noqa: ARG002  # for subclasses to use
        """Return the names of the tools that this row's session may use; None for all of them.

        The others do not exist for it, over HTTP and over MCP.
        """
        return None

    def needs_judge(self) -> bool:
        """Whether verdicts rest on `Rollout.judge_model`, so that a server without one must not start."""
        return False

    def compute_metrics(
        self,
        tasks: Sequence[Sequence[Mapping[str, Any]]],  # noqa: ARG002  # for subclasses to use
    ) -> Mapping[str, Any]:
        """Return metrics of a whole run that are not mean, max, min, median or deviation of a field.

        `server.aggregation.passes` has pass@k and the like. Runs in a thread.

        Args:
            tasks: the verify replies of each task's rollouts that count.
        """
        return {}

    def compute_repeat_metrics(
        self,
        tasks: Sequence[Sequence[Mapping[str, Any]]],  # noqa: ARG002  # for subclasses to use
    ) -> Mapping[str, float]:
        """Return the same of one repeat, that is of one rollout of each task; how they spread is added."""
        return {}

    def get_key_metrics(self, agent_metrics: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the headlines among the metrics of a run: by default all means."""
        return {key: value for key, value in agent_metrics.items() if key.startswith("mean/")}

    def reply(self, tool: str, observation: Observation) -> Any:
        """Return the JSON body with which a tool call is answered; the model reads it verbatim.

        The same observation must give the same body. `invalid_arguments` never comes here: wrong arguments
        are answered 422 without a call.
        """
        return self.toolbox.render(tool, observation)

    @cached_property
    def toolbox(self) -> Toolbox:
        """The tools of this environment, resolved. Raises ToolError when one of them cannot be."""
        return Toolbox.of(self.tools, (READER,) if self.final_variables else ())

    @classmethod
    def task_type(cls) -> type[Any]:
        """Return the class given as ``Environment[...]``, or `dict` when there is none."""
        for klass in cls.__mro__:
            for base in getattr(klass, "__orig_bases__", ()):
                origin = get_origin(base)
                if isinstance(origin, type) and issubclass(origin, Environment):
                    (argument, *_) = get_args(base)
                    if isinstance(argument, type):
                        return argument
        return dict


@attrs.frozen
class Verdict:
    """What a rollout was worth.

    Attributes:
        reward: the scalar that training sees.
        fields: extra top-level keys of the verify reply; numbers among them become metrics.
    """

    reward: float
    fields: Mapping[str, Any] = attrs.field(factory=dict[str, Any])


@attrs.frozen
class Rollout(Generic[TaskT]):
    """All that a verifier may look at. Every process of the session is dead when it exists.

    Attributes:
        task: the row, as seeded.
        response: the model's trajectory as the agent sent it to `/verify`; the model wrote most of it.
        final_state: what the session left behind, captured after its death.
    """

    task: TaskT
    response: Mapping[str, Any]
    final_state: FinalState
    _launcher: Launcher = attrs.field(alias="launcher", repr=False)
    _verifier: Profile = attrs.field(alias="verifier", repr=False)
    _judge_model: JudgeModel | None = attrs.field(default=None, alias="judge_model", repr=False)

    @property
    def judge_model(self) -> JudgeModel:
        """The language model that the operator has given for judging.

        Raises:
            JudgeFailedError: there is none.
        """
        if self._judge_model is None:
            msg = "no judge is configured: set judge_url and judge_model"
            raise JudgeFailedError(msg)
        return self._judge_model

    @property
    def calls(self) -> tuple[CallRecord, ...]:
        """The tool calls in order, as the server saw them."""
        return self.final_state.calls

    @property
    def claimed(self) -> Mapping[str, Any]:
        """The environment's `final_variables`, as far as the session told them itself.

        The interpreter that answered had run the model's code, so this is the model's word: compare it with
        what the model cannot know, and conclude nothing else from it.
        """
        return read_claims(self.final_state.claims)

    @property
    def final_text(self) -> str:
        """The text of the last assistant message of the response, empty if there is none."""
        output = self.response.get("output")
        for item in reversed(output if is_list(output) else []):
            if not is_dict(item) or item.get("type", "message") != "message":
                continue
            if item.get("role", "assistant") == "assistant":
                return text_of(item.get("content"))
        return ""

    def open_sandbox(self, limits: Limits | None = None) -> AbstractAsyncContextManager[Box]:
        """Open a fresh sandbox of the verifier's profile, in which no code of this session has ever run.

        Args:
            limits: its bounds; by default the profile's.
        """
        return self._launcher.open_sandbox(self._verifier, limits)


def text_of(content: Any) -> str:
    """Return the text of a message's content: a string, or parts of which the text ones count."""
    if isinstance(content, str):
        return content
    parts = content if is_list(content) else []
    texts = (part.get("text") for part in parts if is_dict(part))
    return "".join(text for text in texts if isinstance(text, str))


@attrs.define(eq=False)
class Session:
    """A live session, as `Environment.seed_session` sees it.

    Attributes:
        id: names the session in logs; it is not the secret that the client's cookie carries.
        limits: what holds for this session, the row's wishes included.
    """

    id: str
    limits: Limits
    _box: Box = attrs.field(repr=False, alias="box")

    async def write_file(self, path: str, content: str | bytes) -> None:
        """Write a file, creating its folders; relative paths are below /workspace.

        Raises:
            SeedError: it could not be written: a bad path, or over the session's disk limits.
            Gone: the session has ended.
        """
        await write_file(self._box, path, content)

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Observation:
        """Run one of the environment's tools, as the model could. It counts as a call of the session.

        Raises:
            Gone: the session has ended.
        """
        return await self._box.call(tool, arguments)
