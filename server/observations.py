"""How an observation reads to the model, unless the environment says otherwise.

The same observation gives the same bytes: keys come in a fixed order, and nothing in a reply depends on the
run (no times, process ids or host paths).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.observation import Outcome
from tools.shapes import is_dict

if TYPE_CHECKING:
    from sandbox.observation import Observation
    from tools.registry import Tool


def render(tool: Tool, observation: Observation) -> Any:
    """Return the JSON value with which a call of `tool` is answered.

    A tool without streams that succeeded is answered by what it returned, verbatim if that is an object. All
    other replies are objects that begin with ``outcome``.
    """
    value = observation.value
    if not tool.streams and observation.outcome is Outcome.OK:
        return value if is_dict(value) else {"outcome": "ok", "result": value}
    body: dict[str, Any] = {"outcome": str(observation.outcome)}
    if tool.streams:
        body["stdout"] = observation.stdout
        body["stderr"] = observation.stderr
    if is_dict(value):
        # The supervisor's verdict on the call stands, whatever the far side put in its value.
        body |= {key: item for key, item in value.items() if key not in body}
    elif value is not None:
        body["result"] = value
    else:
        body |= {key: item for key, item in tool.empty.items() if key not in body}
    if observation.error is not None:
        body["error"] = observation.error
    if observation.interpreter_reset:
        body["interpreter_reset"] = True
    if observation.truncated:
        body["truncated"] = list(observation.truncated)
    return body
