"""Shapes of JSON values: each can say its JSON Schema, and what is wrong with a given value.

Problems are worded like pydantic's, because clients of FastAPI servers, NeMo Gym's agents among them, know
those.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TypeGuard

Location = list[typing.Union[str, int]]
"""Where in the request's body a problem is, from ``"body"`` on."""


_Step = typing.Tuple[typing.Any, typing.Union[str, int]]  # noqa: UP006 - evaluated, also by Python 3.9
"""The step before, or None, and the key or index that leads on from there."""


class Problem(typing.TypedDict):
    """One thing wrong with given arguments."""

    type: str
    loc: Location
    msg: str
    input: Any


class Shape:
    """What a JSON value must look like."""

    @property
    def label(self) -> str:
        """Its name, in the location of a problem with one member of a union."""
        raise NotImplementedError

    @property
    def closed(self) -> bool:
        """Whether strict function calling can say it: no object with arbitrary keys, nothing arbitrary."""
        return True

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        raise NotImplementedError

    def problems(self, value: Any, loc: Location) -> Iterator[Problem]:
        """Yield what is wrong with `value`, found at `loc`."""
        raise NotImplementedError


class Anything(Shape):
    """Any JSON value."""

    @property
    def label(self) -> str:
        """Name it."""
        return "any"

    @property
    def closed(self) -> bool:
        """Say that it is open."""
        return False

    def schema(self) -> dict[str, Any]:
        """Return the empty schema."""
        return {}

    def problems(self, value: Any, loc: Location) -> Iterator[Problem]:  # noqa: ARG002
        """Yield nothing: all that came out of a JSON parser is fine."""
        return iter(())


@dataclass(frozen=True)
class Scalar(Shape):
    """A string, number, boolean or null."""

    name: str
    json_type: str
    accepts: tuple[type, ...]
    problem: str
    wanted: str

    @property
    def label(self) -> str:
        """Go by its name."""
        return self.name

    def schema(self) -> dict[str, Any]:
        """Return the JSON type's schema."""
        return {"type": self.json_type}

    def problems(self, value: Any, loc: Location) -> Iterator[Problem]:
        """Yield a value of another type; bool is no int, though Python thinks so."""
        if type(value) not in self.accepts:
            yield Problem(type=self.problem, loc=loc, msg=f"Input should be {self.wanted}", input=value)


@dataclass(frozen=True)
class OneOf(Shape):
    """One of some constants."""

    constants: tuple[Any, ...]

    @property
    def label(self) -> str:
        """Name it."""
        return "literal"

    def schema(self) -> dict[str, Any]:
        """Return an enumeration, typed where all constants are strings."""
        typed = {"type": "string"} if all(isinstance(each, str) for each in self.constants) else {}
        return {**typed, "enum": list(self.constants)}

    def problems(self, value: Any, loc: Location) -> Iterator[Problem]:
        """Yield a value that is none of the constants; ``1`` is not ``true``."""
        if not any(type(each) is type(value) and each == value for each in self.constants):
            names = [repr(each) for each in self.constants]
            wanted = " or ".join([*([", ".join(names[:-1])] if names[:-1] else []), names[-1]])
            yield Problem(type="literal_error", loc=loc, msg=f"Input should be {wanted}", input=value)


@dataclass(frozen=True)
class Items(Shape):
    """A list of one shape."""

    item: Shape

    @property
    def label(self) -> str:
        """Name it with what it holds."""
        return f"list[{self.item.label}]"

    @property
    def closed(self) -> bool:
        """Follow what it holds."""
        return self.item.closed

    def schema(self) -> dict[str, Any]:
        """Return an array's schema."""
        return {"type": "array", "items": self.item.schema()}

    def problems(self, value: Any, loc: Location) -> Iterator[Problem]:
        """Yield a value that is no list, or the problems of its items."""
        if not is_list(value):
            yield Problem(type="list_type", loc=loc, msg="Input should be a valid list", input=value)
            return
        for index, each in enumerate(value):
            yield from self.item.problems(each, [*loc, index])


@dataclass(frozen=True)
class Entries(Shape):
    """An object with arbitrary keys and values of one shape."""

    value: Shape

    @property
    def closed(self) -> bool:
        """Say that it is open: its keys are the caller's."""
        return False

    @property
    def label(self) -> str:
        """Name it with what it holds."""
        return f"dict[str,{self.value.label}]"

    def schema(self) -> dict[str, Any]:
        """Return an open object's schema."""
        return {"type": "object", "additionalProperties": self.value.schema()}

    def problems(self, value: Any, loc: Location) -> Iterator[Problem]:
        """Yield a value that is no object, or the problems of its values."""
        if not is_dict(value):
            yield Problem(type="dict_type", loc=loc, msg="Input should be a valid dictionary", input=value)
            return
        for key, each in value.items():
            yield from self.value.problems(each, [*loc, key])


@dataclass(frozen=True)
class AnyOf(Shape):
    """A union: whatever one of its members takes."""

    members: tuple[Shape, ...]

    @property
    def label(self) -> str:
        """Name all members."""
        return "|".join(each.label for each in self.members)

    @property
    def closed(self) -> bool:
        """Follow the members."""
        return all(each.closed for each in self.members)

    def schema(self) -> dict[str, Any]:
        """Return the members' schemas as alternatives."""
        return {"anyOf": [each.schema() for each in self.members]}

    def problems(self, value: Any, loc: Location) -> Iterator[Problem]:
        """Yield the problems of every member, null apart, if no member takes `value`."""
        if any(next(each.problems(value, loc), None) is None for each in self.members):
            return
        tried = [each for each in self.members if each is not NULL]
        for each in tried:
            yield from each.problems(value, loc if len(tried) == 1 else [*loc, each.label])


@dataclass(frozen=True)
class Described(Shape):
    """A shape with words about it, from ``Annotated[T, "words"]``."""

    shape: Shape
    description: str

    @property
    def label(self) -> str:
        """Go by the shape's name."""
        return self.shape.label

    @property
    def closed(self) -> bool:
        """Follow the shape."""
        return self.shape.closed

    def schema(self) -> dict[str, Any]:
        """Return the shape's schema, described."""
        return {**self.shape.schema(), "description": self.description}

    def problems(self, value: Any, loc: Location) -> Iterator[Problem]:
        """Yield the shape's problems."""
        return self.shape.problems(value, loc)


ANY = Anything()
NULL = Scalar("none", "null", (type(None),), "none_required", "None")


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether it is a JSON array."""
    return isinstance(value, list)


def is_dict(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether it is a JSON object."""
    return isinstance(value, dict)


def not_finite(value: Any, loc: Location) -> Iterator[Problem]:
    """Yield the infinities and NaN in `value`, however deep.

    JSON can spell ``1e999`` and has no way to write it back, to the far side or into a reply about it.
    No recursion here, and no work that grows faster than the value: how deep it goes is the model's choice.
    """
    rest: list[tuple[Any, _Step | None]] = [(value, None)]
    while rest:
        each, step = rest.pop()
        if isinstance(each, float) and not math.isfinite(each):
            where = [*loc, *_path(step)]
            yield Problem(
                type="finite_number", loc=where, msg="Input should be a finite number", input=str(each)
            )
        elif is_list(each):
            rest.extend((item, (step, index)) for index, item in enumerate(each) if _may_hold_float(item))
        elif is_dict(each):
            rest.extend((item, (step, key)) for key, item in each.items() if _may_hold_float(item))


def _path(step: _Step | None) -> Location:
    found: Location = []
    while step is not None:
        step, key = step
        found.append(key)
    return found[::-1]


def _may_hold_float(value: Any) -> bool:
    return isinstance(value, (float, list, dict))
