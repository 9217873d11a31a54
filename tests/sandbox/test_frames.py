from __future__ import annotations

import contextlib
import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import frames
from sandbox.frames import FrameError, FrameReader, decode, encode

BOUND = 1 << 20

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
messages = st.dictionaries(st.text(), values, max_size=5)


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def read_all(reader: FrameReader) -> list[dict[str, Any]]:
    return list(iter(reader.next_message, None))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b'{"a":1',
        b'{"a":1} {"b":2}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":"\xff"}',
        b"\xef\xbb\xbf{}",
        b'{"a":' + b"9" * 10_000 + b"}",
        b"[]",
        b'"text"',
        b"3",
        b"null",
        b"true",
    ],
    ids=lambda body: repr(body[:16]),
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(FrameError):
        decode(body)


@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"])
@pytest.mark.parametrize("depth", [frames.MAX_DEPTH, 400, 900, 1_000_000])
def test_a_body_nested_too_deep_is_refused(depth: int, brackets: tuple[bytes, bytes]) -> None:
    opening, closing = brackets
    with pytest.raises(FrameError):
        decode(b'{"a":' + opening * depth + (b"1" if opening != b"[" else b"") + closing * depth + b"}")


@pytest.mark.parametrize("depth", [frames.MAX_DEPTH, 400, 100_000])
def test_a_message_nested_too_deep_is_not_encoded(depth: int) -> None:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    with pytest.raises(FrameError, match="deeper than 100"):
        encode({"a": value}, BOUND)


def test_the_deepest_message_that_is_allowed_passes_both_ways() -> None:
    value: list[Any] = []
    for _ in range(frames.MAX_DEPTH - 2):
        value = [value]
    assert {"a": value} == decode(encode({"a": value}, BOUND)[4:])


def test_many_brackets_side_by_side_are_not_deep() -> None:
    wide = {"a": [[] for _ in range(10_000)], "b": "[" * 10_000}
    assert wide == decode(encode(wide, BOUND)[4:])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_is_not_encoded(value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        encode({"a": value}, BOUND)


def test_what_is_not_json_is_not_encoded() -> None:
    with pytest.raises(TypeError):
        encode({"a": object()}, BOUND)


def test_a_message_over_the_bound_is_not_encoded() -> None:
    exact = encode({"a": "x" * 100}, BOUND)
    assert exact == encode({"a": "x" * 100}, len(exact) - 4)
    with pytest.raises(FrameError, match="over the bound"):
        encode({"a": "x" * 100}, len(exact) - 5)


@pytest.mark.parametrize("length", [101, 1 << 31, (1 << 32) - 1])
def test_an_oversized_header_is_refused_before_its_body_comes(length: int) -> None:
    reader = FrameReader(100)
    reader.feed(struct.pack(">I", length))
    with pytest.raises(FrameError, match="over the bound of 100"):
        reader.next_message()


def test_a_frame_of_exactly_the_bound_is_read() -> None:
    body = json.dumps({"a": "x" * 91}).encode()
    reader = FrameReader(len(body))
    reader.feed(framed(body))
    assert {"a": "x" * 91} == reader.next_message()


@given(st.binary(max_size=64))
def test_arbitrary_bytes_give_messages_or_a_frame_error(data: bytes) -> None:
    reader = FrameReader(1 << 10)
    reader.feed(data)
    try:
        found = read_all(reader)
    except FrameError:
        return
    assert all(isinstance(message, dict) for message in found)


@given(st.binary(max_size=200))
def test_an_arbitrary_body_gives_an_object_or_a_frame_error(body: bytes) -> None:
    with contextlib.suppress(FrameError):
        assert isinstance(decode(body), dict)


@given(st.lists(messages, max_size=4), st.integers(min_value=1, max_value=9))
def test_messages_survive_any_cutting_of_the_stream(sent: list[dict[str, Any]], step: int) -> None:
    stream = b"".join(encode(message, BOUND) for message in sent)
    reader, received = FrameReader(BOUND), []
    for start in range(0, len(stream), step):
        reader.feed(stream[start : start + step])
        received += read_all(reader)
    assert sent == received
    assert reader.is_clean


@given(messages)
def test_byte_by_byte_nothing_comes_before_the_last_byte(message: dict[str, Any]) -> None:
    stream = encode(message, BOUND)
    reader = FrameReader(BOUND)
    for byte in stream[:-1]:
        assert reader.next_message() is None
        reader.feed(bytes([byte]))
        assert not reader.is_clean
    assert reader.next_message() is None
    reader.feed(stream[-1:])
    assert message == reader.next_message()
    assert reader.is_clean


HARD_TEXT = st.text(st.sampled_from('\\",[{}]:a\n\ud800\U0001f600'), max_size=12)
hard_messages = st.dictionaries(
    HARD_TEXT,
    st.lists(HARD_TEXT | st.integers() | st.dictionaries(HARD_TEXT, HARD_TEXT, max_size=2), max_size=6),
)


def signs_outside_of_strings(body: bytes) -> int:
    """Count sign by sign, in the plainest way."""
    count, in_string, escaped = 0, False, False
    for sign in body.decode("ascii"):
        if in_string:
            in_string = escaped or sign != '"'
            escaped = sign == "\\" and not escaped
        else:
            in_string = sign == '"'
            count += sign in ",[{"
    return count


@settings(deadline=None, max_examples=40)  # each takes a tenth of a second, counted in the plainest way
@given(hard_messages)
def test_values_are_counted_outside_of_strings_only(message: dict[str, Any]) -> None:
    many = {"many": [message] * 400}
    body = encode(many, 1 << 24)[4:]
    assert signs_outside_of_strings(body) == frames._count_values(body)
    assert many == decode(body)


@given(hard_messages, st.data())
def test_a_damaged_message_is_refused_or_read_as_json_reads_it(
    message: dict[str, Any], data: st.DataObject
) -> None:
    body = bytearray(encode(message, BOUND)[4:])
    place = data.draw(st.integers(0, len(body)))
    body[place : place + data.draw(st.integers(0, 3))] = data.draw(
        st.sampled_from([b"", b'"', b"\\", b",", b"{", b"1e9"])
    )
    try:
        read = decode(bytes(body))
    except FrameError:
        return
    assert json.loads(body) == read


@pytest.mark.parametrize("length", [2_000, 2_000_000])
@pytest.mark.parametrize("piece", [b'\\"', b'"\\', b"\\\\", b'"', b'",', b'\\",', b"[{,"])
def test_bytes_that_are_no_message_are_refused_however_many(piece: bytes, length: int) -> None:
    with pytest.raises(FrameError):
        decode(b'{"a":' + b"," * (frames.MAX_VALUES + 1) + piece * length)


@pytest.mark.parametrize("surplus", [0, 1])
def test_as_many_values_as_are_allowed_are_read_and_one_more_is_not(surplus: int) -> None:
    body = json.dumps({"a": [',"[{\\'] * (frames.MAX_VALUES - 1 + surplus)}, separators=(",", ":")).encode()
    if surplus:
        with pytest.raises(FrameError, match="more than"):
            decode(body)
    else:
        assert frames.MAX_VALUES - 1 == len(decode(body)["a"])


def test_feeding_nothing_changes_nothing() -> None:
    reader = FrameReader(BOUND)
    reader.feed(b"")
    assert reader.is_clean
    assert reader.next_message() is None


def test_lone_surrogates_cross_as_they_are() -> None:
    assert {"a": "\ud800"} == decode(encode({"a": "\ud800"}, BOUND)[4:])
