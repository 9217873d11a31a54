"""`@tool`: what makes a plain function something that a model can be given.

Imported on both sides. Inside, only `Tool.function` (or calling the `Tool`) matters, so nothing is derived
from a function's annotations before the server asks: `Tool.parameters` is computed on first use.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Callable, overload

from tools.docstring import description_of, parameters_of
from tools.schema import Parameter, UnsupportedAnnotation, parameters_from
from tools.shapes import Problem, is_dict, not_finite

MAX_PROBLEMS = 100
"""Problems of one call's arguments that are told. A long list may have millions, each with its place."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOT_PLAIN = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class ToolError(Exception):
    """A tool is written in a way that cannot work. The message names it, what is wrong and the remedy."""


class Failed(Exception):
    """The tool did its work and the outcome is an error; `value` is what the model gets to see.

    Attributes:
        value: any JSON value, as a tool would return it.
    """

    carries_value = True  # what `sandbox.inside.lane` knows it by: that one cannot import us

    def __init__(self, value: Any) -> None:
        """Carry `value` to whoever called the tool."""
        super().__init__(value)
        self.value = value


@dataclass(frozen=True, eq=False)
class Tool:
    """A function that a model can call, and what the model is told of it.

    Attributes:
        name: what the model calls it by.
        description: what the model reads about it.
        function: ``function(state, **arguments)``, run inside the session.
        lane: which process of the session runs it; the tools of a lane share `state` and run one at a time.
        streams: whether what is printed meanwhile belongs to the observation.
        empty: what stands for the value where the function did not come to return one.
    """

    name: str
    description: str
    function: Callable[..., Any]
    lane: str = "tools"
    streams: bool = False
    empty: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __call__(self, state: Any, /, *args: Any, **arguments: Any) -> Any:
        """Call the function itself, as the far side does, and as one tool may call another."""
        return self.function(state, *args, **arguments)

    def __repr__(self) -> str:
        """Name it, and where it runs."""
        return f"<Tool {self.name} lane={self.lane}>"

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """What the function takes besides `state`, in its order.

        Raises:
            ToolError: a parameter has no annotation, or one that has no JSON shape or cannot be resolved.
        """
        try:
            return parameters_from(self.function, parameters_of(self.function.__doc__))
        except UnsupportedAnnotation as error:
            msg = f"tool {self.name!r}: {error}"
            raise ToolError(msg) from None

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the arguments: an object, nothing else allowed in it.

        Raises:
            ToolError: as `parameters`.
        """
        return {
            "type": "object",
            "properties": {each.name: each.schema() for each in self.parameters},
            "required": [each.name for each in self.parameters if each.required],
            "additionalProperties": False,
        }

    def definition(self) -> dict[str, Any]:
        """Return the function definition for a model's list of tools.

        ``strict`` is only claimed where the schema keeps to what strict mode demands (every argument
        required, no open objects): model servers refuse a whole request for a definition that claims more
        than it keeps.

        Raises:
            ToolError: as `parameters`.
        """
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": self.schema(),
            "strict": all(each.required and each.shape.closed for each in self.parameters),
        }

    def problems(self, arguments: object) -> list[Problem]:
        """Return what is wrong with `arguments`, as in FastAPI's 422 ``detail``; empty if nothing is.

        Args:
            arguments: any JSON value, as parsed from a request's body. Nothing is converted: ``"5"`` is no
                integer and ``true`` is no number, but ``3`` is good for a float.

        Returns:
            Objects with ``type``, ``loc`` (from ``"body"`` on), ``msg`` and ``input``: first in the order of
            the parameters, then what does not belong, in the order given. No more than `MAX_PROBLEMS`.

        Raises:
            ToolError: as `parameters`.
        """
        if not is_dict(arguments):
            words = "Input should be a valid dictionary"
            return [Problem(type="dict_type", loc=["body"], msg=words, input=arguments)]
        found = list(islice(not_finite(arguments, ["body"]), MAX_PROBLEMS))
        return found or list(islice(self._problems(arguments), MAX_PROBLEMS))

    def _problems(self, arguments: dict[str, Any]) -> Iterator[Problem]:
        for each in self.parameters:
            if each.name in arguments:
                yield from each.shape.problems(arguments[each.name], ["body", each.name])
            elif each.required:
                yield Problem(type="missing", loc=["body", each.name], msg="Field required", input=arguments)
        known = {each.name for each in self.parameters}
        words = "Extra inputs are not permitted"
        for name, value in arguments.items():
            if name not in known:
                yield Problem(type="extra_forbidden", loc=["body", name], msg=words, input=value)


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    lane: str = "tools",
    streams: bool = False,
    empty: Mapping[str, Any] | None = None,
    description: str | None = None,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    lane: str = "tools",
    streams: bool = False,
    empty: Mapping[str, Any] | None = None,
    description: str | None = None,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a plain function a `Tool`; use it bare or with arguments.

    Args:
        function: takes ``state`` first, then what the model may say, by name. Each of those is annotated with
            str, int, float, bool, None, list, dict, Literal, a union of these or Any; ``Annotated[T,
            "text"]`` or the docstring's ``Args:`` describes it to the model.
        name: what the model calls it by; the function's own name unless given.
        lane: which process of the session runs it.
        streams: whether what it prints belongs to the observation.
        empty: what stands for its value where it did not come to return.
        description: what the model reads; the docstring up to its first section unless given.

    Raises:
        ToolError: the name or the kind of function is unfit. Annotations are looked at later, on the server.
    """

    def decorate(plain: Callable[..., Any]) -> Tool:
        title = getattr(plain, "__name__", "") if name is None else name
        _check(title, plain)
        text = description_of(plain.__doc__) if description is None else description
        return Tool(title, text, plain, lane=lane, streams=streams, empty=dict(empty or {}))

    return decorate if function is None else decorate(function)


def _check(name: str, function: Callable[..., Any]) -> None:
    """Refuse what could be called neither by a model nor by the far side."""
    if not _NAME.fullmatch(name):
        msg = f"tool {name!r}: a name is 1 to 64 of A-Z a-z 0-9 _ -; give one with @tool(name=...)"
        raise ToolError(msg)
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None or code.co_flags & _NOT_PLAIN:
        msg = f"tool {name!r}: must be a plain function that returns, no coroutine, generator or object"
        raise ToolError(msg)
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or parameters[0].name != "state":
        msg = f"tool {name!r}: the first parameter must be `state`"
        raise ToolError(msg)
    for parameter in parameters[1:]:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            msg = f"tool {name!r}: {str(parameter)!r} cannot be given by name, as a tool's all are"
            raise ToolError(msg)
