from __future__ import annotations

import json
import typing
from typing import Annotated, Any, Literal, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.schema import shape_of
from tools.shapes import not_finite

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
# The old spellings make other objects than the new ones, and are under test as well. As `Any`: type checkers
# do not take values for types.
ANNOTATED: Any = Annotated
OPTIONAL: Any = Optional
UNION: Any = Union
LIST: Any = list
DICT: Any = dict
LITERAL: Any = Literal


def around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for what can be made of the annotations that `inner` gives."""
    return (
        inner.map(lambda each: LIST[each])
        | inner.map(lambda each: DICT[str, each])
        | inner.map(lambda each: OPTIONAL[each])
        | inner.map(lambda each: ANNOTATED[each, "words"])
        | st.tuples(inner, inner).map(lambda pair: UNION[pair])
    )


leaves: list[Any] = [str, int, float, bool, None, Any, list, dict, LITERAL["a", 1, None], LITERAL[True]]
hints: st.SearchStrategy[Any] = st.recursive(st.sampled_from(leaves), around, max_leaves=5)


def conforms(annotation: Any, value: Any) -> bool:  # noqa: PLR0911 - one line for each kind
    """Say again, and otherwise, what an annotation takes."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return True
    if annotation in (None, type(None)):
        return value is None
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if annotation in (str, int, bool):
        return type(value) is annotation
    if origin is Literal:
        return any((type(each), each) == (type(value), value) for each in inner)
    if origin is Annotated:
        return conforms(inner[0], value)
    if list in (annotation, origin):
        return isinstance(value, list) and all(conforms((*inner, Any)[0], each) for each in value)
    if dict in (annotation, origin):
        return isinstance(value, dict) and all(
            conforms((*inner, Any, Any)[1], each) for each in value.values()
        )
    return any(conforms(each, value) for each in inner)


@given(hints, json_values)
def test_a_value_has_problems_exactly_when_it_does_not_conform(annotation: Any, value: Any) -> None:
    problems = list(shape_of(annotation).problems(value, ["body", "x"]))

    assert conforms(annotation, value) is (problems == [])


@given(hints, json_values)
def test_problems_are_json_and_point_into_the_value(annotation: Any, value: Any) -> None:
    for problem in shape_of(annotation).problems(value, ["body", "x"]):
        assert ["type", "loc", "msg", "input"] == list(json.loads(json.dumps(problem)))
        assert ["body", "x"] == problem["loc"][:2]


@given(hints)
def test_every_schema_is_json_and_made_anew(annotation: Any) -> None:
    shape = shape_of(annotation)
    before = json.dumps(shape.schema())
    shape.schema()["more"] = 1

    assert before == json.dumps(shape.schema())


@pytest.mark.parametrize(
    ("annotation", "schema", "closed"),
    [
        (str, {"type": "string"}, True),
        (int, {"type": "integer"}, True),
        (float, {"type": "number"}, True),
        (bool, {"type": "boolean"}, True),
        (None, {"type": "null"}, True),
        (Any, {}, False),
        (object, {}, False),
        (list, {"type": "array", "items": {}}, False),
        (list[str], {"type": "array", "items": {"type": "string"}}, True),
        (typing.Sequence[int], {"type": "array", "items": {"type": "integer"}}, True),
        (dict, {"type": "object", "additionalProperties": {}}, False),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}, False),
        (LITERAL["a", "b"], {"type": "string", "enum": ["a", "b"]}, True),
        (LITERAL["a", 1, None], {"enum": ["a", 1, None]}, True),
        (OPTIONAL[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}, True),
        (int | str, {"anyOf": [{"type": "integer"}, {"type": "string"}]}, True),
        (
            list[Annotated[str, "a name"]],
            {"type": "array", "items": {"type": "string", "description": "a name"}},
            True,
        ),
        (Annotated[str, 5], {"type": "string"}, True),
        (
            list[dict[str, bool]] | None,
            {
                "anyOf": [
                    {
                        "type": "array",
                        "items": {"type": "object", "additionalProperties": {"type": "boolean"}},
                    },
                    {"type": "null"},
                ]
            },
            False,
        ),
    ],
)
def test_an_annotation_has_the_schema(annotation: Any, schema: dict[str, Any], closed: bool) -> None:
    assert schema == shape_of(annotation).schema()
    assert closed is shape_of(annotation).closed


@pytest.mark.parametrize(
    ("annotation", "value", "problems"),
    [
        (str, 5, [("string_type", [], "Input should be a valid string", 5)]),
        (int, "5", [("int_type", [], "Input should be a valid integer", "5")]),
        (int, True, [("int_type", [], "Input should be a valid integer", True)]),
        (int, 3.0, [("int_type", [], "Input should be a valid integer", 3.0)]),
        (float, "x", [("float_type", [], "Input should be a valid number", "x")]),
        (float, True, [("float_type", [], "Input should be a valid number", True)]),
        (bool, 1, [("bool_type", [], "Input should be a valid boolean", 1)]),
        (None, 0, [("none_required", [], "Input should be None", 0)]),
        (list[int], {}, [("list_type", [], "Input should be a valid list", {})]),
        (
            list[int],
            [1, "a", None],
            [
                ("int_type", [1], "Input should be a valid integer", "a"),
                ("int_type", [2], "Input should be a valid integer", None),
            ],
        ),
        (dict[str, int], [], [("dict_type", [], "Input should be a valid dictionary", [])]),
        (
            dict[str, list[int]],
            {"k": [1, "a"]},
            [("int_type", ["k", 1], "Input should be a valid integer", "a")],
        ),
        (LITERAL["a", "b", "c"], "d", [("literal_error", [], "Input should be 'a', 'b' or 'c'", "d")]),
        (LITERAL["a"], None, [("literal_error", [], "Input should be 'a'", None)]),
        (LITERAL[1], True, [("literal_error", [], "Input should be 1", True)]),
        (OPTIONAL[int], "a", [("int_type", [], "Input should be a valid integer", "a")]),
        (
            int | list[str],
            "a",
            [
                ("int_type", ["int"], "Input should be a valid integer", "a"),
                ("list_type", ["list[str]"], "Input should be a valid list", "a"),
            ],
        ),
    ],
)
def test_problems_are_worded_as_pydantic_words_them(annotation: Any, value: Any, problems: list[Any]) -> None:
    found = shape_of(annotation).problems(value, ["body", "x"])

    assert [
        {"type": kind, "loc": ["body", "x", *place], "msg": message, "input": given_}
        for kind, place, message, given_ in problems
    ] == list(found)


def test_numbers_that_json_cannot_write_are_found_however_deep() -> None:
    value: Any = json.loads("1e999")
    for _ in range(100_000):
        value = [value]
    (problem,) = not_finite({"a": [1.5, {"b": value}]}, ["body"])

    assert "finite_number" == problem["type"]
    assert ["body", "a", 1, "b", 0] == problem["loc"][:5]
    assert "inf" == problem["input"]
    assert [] == list(not_finite([1e300, "inf", 10**400, None], ["body"]))
