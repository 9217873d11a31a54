from __future__ import annotations

import collections
import enum
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.literals import NotLiteral, literal

hashables = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=6,
)
values = st.recursive(
    hashables | st.complex_numbers(allow_nan=False) | st.just(...),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(hashables, inner, max_size=3)
        | st.sets(hashables, max_size=3)
    ),
    max_leaves=8,
)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of the same types all through: 1, 1.0 and True are equal."""
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, dict):
        return all(map(same, one.items(), other.items()))
    if isinstance(one, list | tuple):
        return all(map(same, one, other))
    return True


@given(values)
def test_a_literal_makes_the_same_value_again(value: Any) -> None:
    assert same(value, eval(literal(value), {}))


@given(values)
def test_a_literal_of_an_equal_value_is_the_same_text(value: Any) -> None:
    assert literal(value) == literal(eval(literal(value), {}))


def test_what_python_cannot_spell_is_written_all_the_same() -> None:
    assert math.isnan(eval(literal(math.nan)))
    assert [-math.inf, set(), frozenset()] == eval(literal([-math.inf, set(), frozenset()]))
    pattern = re.compile(r"a\b'\"", re.IGNORECASE | re.VERBOSE)
    assert pattern == eval(literal(pattern))
    assert re.compile(b"x") == eval(literal(re.compile(b"x")))


class Colour(enum.IntEnum):
    RED = 1


itself: list[Any] = []
itself.append(itself)


@pytest.mark.parametrize(
    "value",
    [object(), print, Colour.RED, collections.OrderedDict(a=1), [bytearray()], {"a": object()}, itself, int],
    ids=["object", "function", "enum", "OrderedDict", "bytearray", "nested object", "itself", "class"],
)
def test_anything_else_is_no_literal(value: Any) -> None:
    with pytest.raises(NotLiteral):
        literal(value)
