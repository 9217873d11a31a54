"""Annotations as shapes, and a function's signature as parameters.

Types are resolved late (`parameters_from`) and from string annotations too, so this works with
``from __future__ import annotations`` and with names of the user's own module.
"""

from __future__ import annotations

import collections.abc
import inspect
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable

from tools.shapes import ANY, NULL, AnyOf, Described, Entries, Items, OneOf, Scalar, Shape, is_dict, is_list


class UnsupportedAnnotation(Exception):
    """A parameter's annotation is missing, cannot be resolved, or has no JSON shape."""


_SCALARS: dict[Any, Shape] = {
    Any: ANY,
    object: ANY,
    None: NULL,
    type(None): NULL,
    str: Scalar("str", "string", (str,), "string_type", "a valid string"),
    int: Scalar("int", "integer", (int,), "int_type", "a valid integer"),
    float: Scalar("float", "number", (float, int), "float_type", "a valid number"),
    bool: Scalar("bool", "boolean", (bool,), "bool_type", "a valid boolean"),
}
_LISTS = (list, collections.abc.Sequence)
_DICTS = (dict, collections.abc.Mapping)
_UNIONS = (typing.Union, getattr(types, "UnionType", typing.Union))  # X | Y is a type of its own from 3.10 on


@dataclass(frozen=True)
class Parameter:
    """One thing that a tool takes.

    Attributes:
        name: what it is given by.
        shape: what it must look like.
        required: whether it has no default.
        default: what the function gets without it; None where it is required.
        description: what the model is told of it; may be empty.
    """

    name: str
    shape: Shape
    required: bool = True
    default: Any = None
    description: str = ""

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema, with description and with the default where that is JSON."""
        schema = self.shape.schema()
        if self.description:
            schema["description"] = self.description
        if not self.required and _is_json(self.default):
            schema["default"] = self.default
        return schema


def shape_of(annotation: Any) -> Shape:
    """Return the shape that a resolved annotation stands for.

    Raises:
        UnsupportedAnnotation: it stands for nothing that JSON has.
    """
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        shape = shape_of(inner[0])
        words = next((each for each in inner[1:] if isinstance(each, str)), None)
        return shape if words is None else Described(shape, words)
    if origin in _UNIONS:
        return AnyOf(tuple(shape_of(each) for each in inner))
    if origin is typing.Literal and all(each is None or type(each) in (str, int, bool) for each in inner):
        return OneOf(inner)
    plain = annotation if origin is None else origin
    if plain in _LISTS:
        return Items(shape_of(inner[0]) if inner else ANY)
    if plain in _DICTS and (not inner or inner[0] is str):
        return Entries(shape_of(inner[1]) if inner else ANY)
    if origin is None and isinstance(annotation, collections.abc.Hashable) and annotation in _SCALARS:
        return _SCALARS[annotation]
    msg = (
        f"{annotation!r} has no JSON shape; there are str, int, float, bool, None, list[T], dict[str, T], "
        "Literal of str, int, bool or None, unions of these, and Any"
    )
    raise UnsupportedAnnotation(msg)


def parameters_from(function: Callable[..., Any], descriptions: Mapping[str, str]) -> tuple[Parameter, ...]:
    """Return the parameters of `function` after its first.

    Only their annotations are evaluated: that of ``state``, and the result's, may be names for type checkers
    only.

    Args:
        function: a plain function; string annotations are looked up in its module.
        descriptions: parameter name to description, where the annotation brings none.

    Raises:
        UnsupportedAnnotation: an annotation is missing, cannot be resolved, or has no JSON shape.
    """
    plain = inspect.unwrap(function)
    return tuple(
        _parameter(each, getattr(plain, "__globals__", {}), descriptions.get(each.name, ""))
        for each in list(inspect.signature(function).parameters.values())[1:]
    )


def _parameter(parameter: inspect.Parameter, namespace: dict[str, Any], description: str) -> Parameter:
    name = parameter.name
    if parameter.annotation is parameter.empty:
        msg = f"parameter {name!r} has no annotation, so nothing can be checked or told to the model"
        raise UnsupportedAnnotation(msg)

    def blank() -> None: ...

    # A function with just this one annotation: get_type_hints would resolve all of them or none.
    blank.__annotations__ = {name: parameter.annotation}
    try:
        hint = typing.get_type_hints(blank, globalns=namespace, include_extras=True)[name]
    except Exception as error:  # evaluating an annotation may raise anything
        why = f"{type(error).__name__}: {error}"
        msg = f"parameter {name!r}: {parameter.annotation!r} cannot be resolved: {why}"
        raise UnsupportedAnnotation(msg) from error
    try:
        shape = shape_of(hint)
    except UnsupportedAnnotation as error:
        msg = f"parameter {name!r}: {error}"
        raise UnsupportedAnnotation(msg) from None
    if isinstance(shape, Described):
        description, shape = shape.description, shape.shape
    required = parameter.default is parameter.empty
    return Parameter(name, shape, required, None if required else parameter.default, description)


def _is_json(value: Any) -> bool:
    if is_list(value):
        return all(map(_is_json, value))
    if is_dict(value):
        return all(isinstance(key, str) and _is_json(each) for key, each in dict[Any, Any](value).items())
    return value is None or type(value) in (str, int, bool) or (type(value) is float and math.isfinite(value))
