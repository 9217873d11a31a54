"""Long values in pieces: what comes of them is what comes of the whole."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.canonical import canonical
from server.errors import NotJson
from server.http.pieces import PIECE_BYTES, parse_in_pieces, spell_in_pieces
from tests.server.http.test_shapes import JSON

NUMBERS = b"[" + b"1.0e1,-0.5,null,18446744073709551617," * 40 + b"2]"
ODD = [
    b"[" + b" " * 50 + b"]",
    b"{" + b" " * 50 + b"}",
    b'{"b":null,"a":[null,{"c":null}],"\\u00e9":"' + b"x" * 50 + b'"}',
    b'{"a":1,"a":[' + b"2," * 50 + b"3]}",
    b'["' + b"x" * 50 + b'",1,2,[3],"' + b"y" * 50 + b'"]',
    NUMBERS,
    b"[" + NUMBERS + b"," + NUMBERS[1:-1] + b',"a"]',
    b"[" + b"1.5," * 20 + b"NaN,-Infinity," + b"1.5," * 20 + b"1]",
    b'[["\\ud800","' + b"x" * 50 + b'"],{"\\udc00":"' + b"x" * 50 + b'"}]',
]


def windows(text: bytes) -> list[bytes | msgspec.Raw]:
    """Return `text`, and a window on it such as a request's values are."""
    found = [text]
    try:
        return [*found, *msgspec.json.decode(b"[" + text + b"]", type=list[msgspec.Raw])]
    except msgspec.MsgspecError:
        return [*found]


def same(one: Any, other: Any) -> bool:
    return json.dumps(one) == json.dumps(other)  # NaN is not equal to itself


@pytest.mark.parametrize("piece", [1, 10, 40, 100, PIECE_BYTES])
@pytest.mark.parametrize("text", ODD, ids=lambda text: repr(text)[:30])
def test_odd_values_read_and_spell_as_the_whole_does(text: bytes, piece: int) -> None:
    whole = json.loads(text)
    for window in windows(text):
        assert same(whole, parse_in_pieces(window, piece))
        assert canonical(whole) == b"".join(spell_in_pieces(window, piece))


@given(JSON, st.integers(1, 60), st.sampled_from([None, 1]))
def test_any_value_reads_and_spells_as_the_whole_does(value: Any, piece: int, indent: int | None) -> None:
    text = json.dumps(value, indent=indent).encode()
    assert same(value, parse_in_pieces(text, piece))
    assert canonical(value) == b"".join(spell_in_pieces(text, piece))


@pytest.mark.parametrize("text", [b"[1,2,3 4,5]", b'["\xff","abc"]', b'{"a":[1,,2]}', b"[1,2", b'{"a":tru }'])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(NotJson):
        parse_in_pieces(text, 2)


def test_no_piece_of_a_long_value_is_long() -> None:
    text = b'{"a":' + b"[" + b"104729," * 100_000 + b'1],"b":[' + b'{"c":"d"},' * 100_000 + b"0]}"
    assert 2 * PIECE_BYTES > max(map(len, spell_in_pieces(text)))
