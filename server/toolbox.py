"""The tools of one environment, resolved once: what a model may call, and what the far side must carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from sandbox.profile import Handler
from server.observations import render
from server.sessions.files import WRITER
from tools.registry import Tool, ToolError
from tools.shipped import shipped
from tools.shipping import handlers_of

if TYPE_CHECKING:
    from sandbox.observation import Observation
    from sandbox.profile import Profile

REHEARSAL = Handler(name="creche:rehearse", lane="python", target="tools.python:rehearse")
"""What a session on standby runs. The colon keeps it apart from any tool that a model can name."""


@attrs.frozen
class Toolbox:
    """Tools by name, in the order in which the environment lists them."""

    tools: Mapping[str, Tool]
    handlers: tuple[Handler, ...]

    @classmethod
    def of(cls, entries: Sequence[str | Tool], errands: tuple[Handler, ...] = ()) -> Toolbox:
        """Resolve `entries`: names of shipped tools, and tools.

        Args:
            entries: what the model may call.
            errands: handlers that only the server calls.

        Raises:
            ToolError: an unknown name, a name used twice, or a tool that cannot be taken into a session.
        """
        tools: dict[str, Tool] = {}
        for entry in entries:
            tool = entry if isinstance(entry, Tool) else shipped(entry)
            if tool.name in tools:
                msg = f"two tools are named {tool.name!r}; give one of them another name"
                raise ToolError(msg)
            tools[tool.name] = tool
        return cls(tools, (*handlers_of(tools.values()), WRITER, *errands))

    def equip(self, profile: Profile) -> Profile:
        """Return `profile` with these tools for handlers; a console that comes first is rehearsed."""
        if self.handlers[0].lane != REHEARSAL.lane:
            return attrs.evolve(profile, handlers=self.handlers)
        return attrs.evolve(profile, handlers=(*self.handlers, REHEARSAL), rehearsal=REHEARSAL.name)

    def definitions(self) -> list[dict[str, Any]]:
        """Return the tools as function definitions, for `responses_create_params.tools`."""
        return [tool.definition() for tool in self.tools.values()]

    def render(self, name: str, observation: Observation) -> Any:
        """Return the reply body for an observation of the tool called `name`."""
        return render(self.tools[name], observation)
