"""Strict structuring: nothing is coerced, every problem has its place."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import InvalidBody
from server.http.shapes import MAX_PROBLEMS, structure

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@attrs.frozen
class Part:
    count: int


@attrs.frozen(kw_only=True)
class Whole:
    text: str
    number: float = 0.0
    flag: bool = False
    names: list[str] = attrs.field(factory=list)
    pair: tuple[int, ...] = ()
    table: Mapping[str, int | None] = {}
    choice: Literal["a", "b"] = "a"
    either: int | str = 0
    part: Part | None = None
    parts: list[Part] = attrs.field(factory=list)
    anything: Any = None
    positive: int = attrs.field(default=1, validator=attrs.validators.gt(0))


def problems(value: Any) -> list[tuple[str, list[Any]]]:
    with pytest.raises(InvalidBody) as caught:
        structure(value, Whole)
    assert all(set(entry) == {"type", "loc", "msg", "input"} for entry in caught.value.details)
    return [(entry["type"], entry["loc"]) for entry in caught.value.details]


@pytest.mark.parametrize(
    "fields",
    [
        {"names": [1] * 3_000_000},
        {"pair": ["x"] * 3_000_000},
        {"table": {str(number): "x" for number in range(1_000_000)}},
        {"parts": [{}] * 1_000_000},
        {field: [1] * 1_000_000 for field in ("names", "parts")},
    ],
    ids=["list", "tuple", "table", "parts", "two lists"],
)
def test_of_millions_of_problems_a_hundred_are_told(fields: dict[str, Any]) -> None:
    found: list[Any] = []
    grown = tracemalloc_peak(lambda: found.extend(problems({"text": "x", **fields})))
    assert MAX_PROBLEMS == len(found)
    assert grown < 64 << 20


def tracemalloc_peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_what_fits_is_structured_and_other_keys_are_ignored() -> None:
    whole = structure({"text": "x", "number": 3, "part": {"count": 1, "more": 2}, "_ng_task_index": 0}, Whole)
    assert Whole(text="x", number=3.0, part=Part(1)) == whole
    assert isinstance(whole.number, float)


@pytest.mark.parametrize(
    ("field", "value", "kind", "loc"),
    [
        ("text", 5, "string_type", ["body", "text"]),
        ("text", None, "string_type", ["body", "text"]),
        ("number", "3", "float_type", ["body", "number"]),
        ("number", True, "float_type", ["body", "number"]),
        ("flag", 1, "bool_type", ["body", "flag"]),
        ("names", "ab", "list_type", ["body", "names"]),
        ("names", ["a", 1], "string_type", ["body", "names", 1]),
        ("pair", [1, "2"], "int_type", ["body", "pair", 1]),
        ("pair", [1, True], "int_type", ["body", "pair", 1]),
        ("table", [], "dict_type", ["body", "table"]),
        ("table", {"a": "1"}, "int_type", ["body", "table", "a"]),
        ("choice", "c", "value_error", ["body", "choice"]),
        ("choice", [], "value_error", ["body", "choice"]),
        ("either", True, "type_error", ["body", "either"]),
        ("part", 3, "dict_type", ["body", "part"]),
        ("part", {"count": "1"}, "int_type", ["body", "part", "count"]),
        ("part", {}, "missing", ["body", "part", "count"]),
        ("parts", [{"count": 1}, {"count": 1.0}], "int_type", ["body", "parts", 1, "count"]),
    ],
)
def test_a_wrong_value_is_named_by_its_place(field: str, value: Any, kind: str, loc: list[Any]) -> None:
    assert [(kind, loc)] == problems({"text": "x"} | {field: value})


def test_every_problem_is_named() -> None:
    assert [("missing", ["body", "text"]), ("float_type", ["body", "number"])] == problems({"number": "x"})


def test_a_validator_speaks_in_its_own_words() -> None:
    assert [("value_error", ["body"])] == problems({"text": "x", "positive": -1})


@pytest.mark.parametrize("value", [None, [], "text", 3])
def test_only_an_object_has_fields(value: Any) -> None:
    assert [("dict_type", ["body"])] == problems(value)


def test_a_task_without_a_class_is_the_row_itself() -> None:
    row = {"a": [1]}
    assert row is structure(row, dict)


@given(st.dictionaries(st.sampled_from([field.name for field in attrs.fields(Whole)]), JSON))
def test_any_object_is_structured_exactly_or_refused_with_places(value: dict[str, Any]) -> None:
    try:
        whole = attrs.asdict(structure(value, Whole))
    except InvalidBody:
        return
    for key, item in value.items():
        assert item == whole[key] or isinstance(item, list)
