"""The plain-data encoding: what goes through unchanged, what is refused, and what no reader accepts."""

from __future__ import annotations

import collections
import enum
import math
import struct
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools import plain, plain_form
from tools.plain import PlainError

HASHABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters())
    | st.text(st.sampled_from("\ud83d\ude00a\udfff"))
    | st.binary()
    | st.builds(range, st.integers(), st.integers(), st.integers().filter(bool)),
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=8,
)

PLAIN = st.recursive(
    HASHABLE | st.binary().map(bytearray),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.sets(HASHABLE, max_size=5)
        | st.dictionaries(HASHABLE, inner, max_size=5)
    ),
    max_leaves=20,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from("ltSFdiufcbBr"),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=20,
)


def through_json(value: object) -> Any:
    """Return what comes out at the far end of a pipe that carries JSON."""
    return plain.loads(plain.dumps(value))


def look(value: Any) -> Any:
    """Return what tells two values apart that ``==`` may not: types, the sign of zero, nan."""
    kind = type(value)
    if kind is float:
        return (kind, "nan" if math.isnan(value) else struct.pack("d", value))
    if kind is complex:
        return (kind, look(value.real), look(value.imag))
    if kind in (list, tuple):
        return (kind, [look(item) for item in value])
    if kind in (set, frozenset):
        return (kind, sorted((look(item) for item in value), key=repr))
    if kind is dict:
        return (kind, [(look(key), look(item)) for key, item in value.items()])
    return (kind, value)


NAN = float("nan")


@pytest.mark.parametrize(
    "value",
    [
        {NAN, math.nan, 1},
        frozenset({(NAN, 1), (math.nan, 1)}),
        {NAN: 1, math.nan: 2},
        {frozenset({NAN, math.nan}), 1},
        {complex(NAN, 0), complex(math.nan, 0)},
    ],
    ids=["set", "tuples", "keys", "set in a set", "complex"],
)
def test_nans_that_are_not_the_same_stay_apart(value: Any) -> None:
    assert look(value) == look(through_json(value))


def test_a_nan_is_found_where_a_test_looks_for_it() -> None:
    for value in ([math.nan, math.nan], {"a": math.nan, "b": (math.nan,)}, {math.nan, 1}):
        assert value == through_json(value)


@given(PLAIN)
def test_whatever_is_plain_comes_back_the_same_type_by_type(value: Any) -> None:
    """Round trip through real JSON text."""
    assert look(value) == look(through_json(value))


@given(JSON)
def test_a_reader_given_any_json_returns_or_refuses(data: Any) -> None:
    """No other exception; and what was read can be written again."""
    try:
        value = plain.decode(data)
    except PlainError:
        return
    assert look(value) == look(plain.decode(plain.encode(value)))


@pytest.mark.parametrize(
    "value",
    [
        10**5000,
        -(10**5000),
        2**63,
        2**63 - 1,
        -(2**63),
        -0.0,
        "\ud800",
        "\ud83d\ude00",
        {1: 2, "1": 3, (1,): 4},
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_hard_cases_survive(value: Any) -> None:
    """Numbers beyond the digits limit, lone and adjacent surrogates, keys that JSON would merge."""
    assert look(value) == look(through_json(value))


def test_a_sets_encoding_does_not_depend_on_its_order() -> None:
    """The same actions give the same bytes, whatever the hash seed."""
    assert plain.encode(set("abcdefgh")) == plain.encode(set("hgfedcba")) == ["S", *"abcdefgh"]


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    y: int


class Colour(enum.IntEnum):
    """An int with names."""

    RED = 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Point(1, 2), (1, 2)),
        (Colour.RED, 1),
        (collections.defaultdict(int, a=1), {"a": 1}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
    ],
)
def test_a_class_that_compares_as_its_base_is_written_as_its_base(value: Any, expected: Any) -> None:
    """What ``==`` makes of it is what the far end gets."""
    assert look(expected) == look(through_json(value))


class AlwaysEqual:
    """Equal to whatever it is compared with."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = object.__hash__


class LyingInt(int):
    """A number that says it is equal to all others."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


class LyingList(list):  # type: ignore[type-arg]  # any item will do
    """A list that shows other items than it has, but compares as a list."""

    def __iter__(self) -> Any:
        return iter(["the right answer"])

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (AlwaysEqual(), "AlwaysEqual"),
        ([AlwaysEqual()], "AlwaysEqual"),
        (LyingInt(1), "LyingInt"),
        ({LyingInt(1): 2}, "LyingInt"),
        (lambda: None, "function"),
        (object(), "object"),
        (collections.deque([1]), "deque"),
        ((x for x in [1]), "generator"),
    ],
)
def test_what_is_not_plain_is_refused_by_name(value: Any, named: str) -> None:
    """The message says which type it was."""
    with pytest.raises(PlainError, match=named):
        plain.encode(value)


def test_a_subclass_cannot_show_other_items_than_it_has() -> None:
    """No method that a candidate's class overrides is called."""
    assert [1, 2] == through_json(LyingList([1, 2]))


def test_numpys_scalars_are_numbers_and_its_arrays_are_not() -> None:
    """An array compares element by element, which is no verdict."""
    numpy = pytest.importorskip("numpy")
    assert look([3, 0.5, True]) == look(through_json([numpy.int64(3), numpy.float64(0.5), numpy.bool_(True)]))
    with pytest.raises(PlainError, match="ndarray"):
        plain.encode(numpy.array([1]))


def test_a_value_that_contains_itself_is_refused() -> None:
    """A list in itself, and a dict in a list in itself."""
    looped: list[Any] = []
    looped.append({"again": looped})
    with pytest.raises(PlainError, match="contains itself"):
        plain.encode(looped)


def test_the_same_value_twice_is_no_loop() -> None:
    """Only what is being written counts, not what has been."""
    shared = [1]
    assert [[1], [1]] == through_json([shared, shared])


def test_depth_is_bounded_both_ways() -> None:
    """At the bound it passes, one deeper it is refused, and no reader overflows its stack."""
    value: Any = 1
    for _ in range(plain_form.MAX_DEPTH):
        value = [value]
    assert look(value) == look(through_json(value))
    with pytest.raises(PlainError, match="deeper"):
        plain.encode([value])
    with pytest.raises(PlainError, match="deeper"):
        plain.decode(["l", plain.encode(value)])


def test_size_is_bounded_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every value counts, containers too."""
    monkeypatch.setattr(plain_form, "MAX_ITEMS", 4)
    assert [1, 2, 3] == through_json([1, 2, 3])
    with pytest.raises(PlainError, match="more than 4"):
        plain.encode([1, 2, [3]])
    with pytest.raises(PlainError, match="more than 4"):
        plain.decode(["l", 1, 2, ["l", 3]])


@pytest.mark.parametrize(
    "data",
    [
        {},
        [],
        [1],
        ["?"],
        ["l", {}],
        ["d", 1],
        ["d", ["l"], 1],
        ["S", ["l"]],
        ["S", 1, True],
        ["d", 1, 2, 1.0, 3],
        ["i", "5"],
        ["i", "0x5"],
        ["i", 5],
        ["i"],
        ["i", "0x1", "0x1"],
        ["f", "NaN"],
        ["f", 1.0],
        ["f", ["l"]],
        ["u", "zz"],
        ["u", "ff"],
        ["b", "@"],
        ["b", 1],
        ["c", 1, 2.0],
        ["c", ["f", "inf"]],
        ["r", 1, 2, 0],
        ["r", 1, 2],
        ["r", True, 2, 1],
        2**63,
        math.nan,
        math.inf,
    ],
    ids=repr,
)
def test_a_malformed_encoding_is_refused(data: Any) -> None:
    """Whatever no writer makes, no reader takes."""
    with pytest.raises(PlainError):
        plain.decode(data)


@pytest.mark.parametrize(
    "text", ["", "[", "[" * 100_000, '["l"', b"1", None, "1" * 5000, "NaN"], ids=lambda text: str(text)[:5]
)
def test_a_text_that_is_no_encoding_is_refused(text: Any) -> None:
    """Not JSON, too deep for the parser, a number too long for it, or no text at all."""
    with pytest.raises(PlainError):
        plain.loads(text)
