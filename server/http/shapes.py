"""JSON values into frozen attrs classes, strictly, with every problem named.

cattrs turns ``"5"`` into 5, 7 into ``"7"`` and ``"ab"`` into ``["a", "b"]`` unless it is told not to; here it
is told. Its nested validation groups become one `InvalidBody`, whose entries have the shape that FastAPI's
have: NeMo Gym's clients know it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import attrs
import cattrs
from cattrs import cols
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn

from server.errors import InvalidBody

T = TypeVar("T")
Hook = Callable[[Any, Any], Any]
_Factory = Callable[..., Any]

MAX_PROBLEMS = 100
"""Problems of one body that are told. A body of 64 MiB may have thirty million, each with its place."""


class WrongTypeError(Exception):
    """A JSON value is of another type than the field it is for."""

    def __init__(self, kind: str, value: Any) -> None:
        """Remember what was wanted (``"string"``) and what came."""
        super().__init__(f"Input should be a valid {kind}")
        self.kind = kind
        self.value = value


def strict_converter() -> cattrs.Converter:
    """Return a converter that coerces nothing, except that an integer is fine where a float is wanted."""
    converter = cattrs.Converter(detailed_validation=True)
    for klass in _SCALARS:
        converter.register_structure_hook(klass, _scalar_hook)
    converter.register_structure_hook_func(_is_scalar_union, _scalar_union_hook)
    converter.register_structure_hook_func(_is_literal, _literal_hook)
    # The last one registered is asked first.
    containers: tuple[tuple[Callable[[Any], bool], str, _Factory], ...] = (
        (cols.is_mapping, "dictionary", _mapping_hook),
        (cols.is_sequence, "list", _list_hook),
        (_is_homogeneous_tuple, "list", _tuple_hook),
        (attrs.has, "dictionary", make_dict_structure_fn),
    )
    for predicate, kind, factory in containers:
        converter.register_structure_hook_factory(predicate, _container(kind, factory))
    return converter


_SCALARS: dict[type, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    NoneType: "null",
}


def _scalar_hook(value: Any, target: type) -> Any:
    # By exact type: to Python a bool is an int, to JSON it is not.
    if type(value) is target:
        return value
    if target is float and type(value) is int:
        return float(value)
    raise WrongTypeError(_SCALARS[target], value)


def _is_literal(target: Any) -> bool:
    return bool(get_origin(target) is Literal)


def _is_scalar_union(target: Any) -> bool:
    return get_origin(target) in {Union, UnionType} and all(member in _SCALARS for member in get_args(target))


def _scalar_union_hook(value: Any, target: Any) -> Any:
    members = get_args(target)
    if type(value) in members:
        return value
    if float in members and type(value) is int:
        return float(value)
    raise WrongTypeError(" or ".join(_SCALARS[member] for member in members if member is not NoneType), value)


def _literal_hook(value: Any, target: Any) -> Any:
    for choice in get_args(target):
        if type(value) is type(choice) and value == choice:
            return value
    msg = f"Input should be one of {', '.join(map(repr, get_args(target)))}"
    raise ValueError(msg)


def _container(kind: str, factory: _Factory) -> Callable[[Any, cattrs.BaseConverter], Hook]:
    """Check a container's own type before cattrs iterates over it: it would take a string for a list."""
    accepted: type = dict if kind == "dictionary" else list

    def make(target: Any, converter: cattrs.BaseConverter) -> Hook:
        inner: Hook = factory(target, converter)

        def structure_container(value: Any, wanted: Any) -> Any:
            if not isinstance(value, accepted):
                raise WrongTypeError(kind, value)
            return inner(value, wanted)

        return structure_container

    return make


def _list_hook(target: Any, converter: cattrs.BaseConverter) -> Hook:
    element = (*get_args(target), Any)[0]

    def structure_list(values: list[Any], wanted: Any) -> list[Any]:
        return [item for _, item in _each(enumerate(values), converter, element, wanted)]

    return structure_list


def _tuple_hook(target: Any, converter: cattrs.BaseConverter) -> Hook:
    inner = _list_hook(target, converter)
    return lambda values, wanted: tuple(inner(values, wanted))


def _mapping_hook(target: Any, converter: cattrs.BaseConverter) -> Hook:
    element = (*get_args(target), Any, Any)[1]
    return lambda values, wanted: dict(_each(values.items(), converter, element, wanted))


def _each(
    members: Iterable[tuple[Any, Any]], converter: cattrs.BaseConverter, element: Any, wanted: Any
) -> list[tuple[Any, Any]]:
    """Structure each member; as cattrs does it, but that it gives up after `MAX_PROBLEMS`.

    An object's keys are strings, and stay what they are.
    """
    hook = converter.get_structure_hook(element)
    made: list[tuple[Any, Any]] = []
    errors: list[Exception] = []
    for place, value in members:
        try:
            made.append((place, hook(value, element)))
        except Exception as error:  # noqa: BLE001  # whatever a hook raises is a problem of its value
            error.add_note(IterableValidationNote("", place, element))
            errors.append(error)
            if len(errors) == MAX_PROBLEMS:
                break
    if errors:
        msg = "some members have problems"
        raise IterableValidationError(msg, errors, wanted)  # pyright: ignore[reportCallIssue]  # it takes three
    return made


def _is_homogeneous_tuple(target: Any) -> bool:
    return get_origin(target) is tuple and get_args(target)[-1:] == (...,)


_CONVERTER = strict_converter()


def structure(value: Any, shape: type[T], loc: tuple[str | int, ...] = ("body",)) -> T:
    """Return `value` as a `shape`.

    Args:
        value: what `json.loads` gave.
        shape: an attrs class, whose undeclared keys are ignored; or `dict`, which takes any object as it is.
        loc: where the value came from: the beginning of every problem's ``loc``.

    Raises:
        InvalidBody: with one entry for each of the first `MAX_PROBLEMS` problems.
    """
    if not isinstance(value, Mapping):
        raise InvalidBody([_entry("dict_type", loc, "Input should be a valid dictionary", value)])
    if shape is dict:
        return value  # type: ignore[return-value]  # a Mapping is what is meant by it
    try:
        return _CONVERTER.structure(value, shape)
    except BaseValidationError as group:
        raise InvalidBody(list(islice(_problems(group, loc), MAX_PROBLEMS))) from None


def _problems(error: Exception, loc: tuple[str | int, ...]) -> Iterator[dict[str, Any]]:
    """Walk a validation group depth first; the notes on its members say where each belongs."""
    if isinstance(error, BaseValidationError):
        for member in error.exceptions:
            yield from _problems(member, (*loc, *_step(member)))
    elif isinstance(error, WrongTypeError):
        yield _entry(_TYPE_NAMES.get(error.kind, "type_error"), loc, str(error), error.value)
    elif isinstance(error, KeyError):
        yield _entry("missing", loc, "Field required", None)
    else:
        yield _entry("value_error", loc, str(error) or type(error).__name__, None)


_TYPE_NAMES = {
    "string": "string_type",
    "integer": "int_type",
    "number": "float_type",
    "boolean": "bool_type",
    "list": "list_type",
    "dictionary": "dict_type",
}
"""What FastAPI calls the problem of a value that is not of that kind."""


def _step(error: BaseException) -> tuple[str | int, ...]:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return (note.name,)
        if isinstance(note, IterableValidationNote):
            return (note.index,)
    return ()


def _entry(kind: str, loc: tuple[str | int, ...], message: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "loc": list(loc), "msg": message, "input": value}
