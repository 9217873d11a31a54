from __future__ import annotations

import os
import re

import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st

from sandbox.output import HeadAndTail, OutputPipe
from tests.sandbox.kin import PATIENCE

MARK = re.compile(r"\n\[\.\.\. (\d+) bytes left out \.\.\.\]\n")


def kept(data: bytes, keep: int, step: int) -> HeadAndTail:
    output = HeadAndTail(keep)
    for start in range(0, len(data), step):
        output.add(data[start : start + step])
    return output


@given(st.text(max_size=80), st.integers(0, 300), st.integers(1, 50))
@example("é" * 40, 79, 1)
@example("😀" * 20, 79, 3)
def test_what_is_kept_is_head_and_tail_cut_between_characters(text: str, keep: int, step: int) -> None:
    data = text.encode("utf-8", "replace")
    output = kept(data, keep, step)
    assert len(data) == output.total
    if len(data) <= keep:
        assert not output.is_truncated
        assert data.decode() == output.text()
        return
    assert output.is_truncated
    # The text itself may hold what looks like the mark, so it is found by its place, not by its form.
    found = [
        match
        for match in MARK.finditer(output.text())
        if data.startswith(output.text()[: match.start()].encode())
        and data.endswith(output.text()[match.end() :].encode())
    ]
    assert found
    head, tail = output.text()[: found[0].start()].encode(), output.text()[found[0].end() :].encode()
    assert int(found[0][1]) == len(data) - len(head) - len(tail)
    assert keep - 6 <= len(head) + len(tail) <= keep  # each cut gives up three bytes of a character at most


@given(st.binary(max_size=400), st.integers(0, 100), st.integers(1, 50))
def test_arbitrary_bytes_never_raise_and_stay_within_the_bound(data: bytes, keep: int, step: int) -> None:
    output = kept(data, keep, step)
    text = output.text()
    assert (len(data) > keep) == output.is_truncated
    assert len(text) <= keep + len("\n[... 400 bytes left out ...]\n")
    text.encode("utf-8")  # fit to be sent: no lone surrogates


@given(st.binary(max_size=400), st.integers(0, 100))
def test_how_the_bytes_arrive_makes_no_difference(data: bytes, keep: int) -> None:
    assert kept(data, keep, 1).text() == kept(data, keep, 400).text()


def test_a_flood_is_kept_in_bounded_memory() -> None:
    output = HeadAndTail(1000)
    for _ in range(2000):
        output.add(bytes(1 << 16))
    assert 2000 << 16 == output.total
    assert len(output._head) + len(output._tail) < 4 << 16


def test_the_first_and_the_last_bytes_are_there() -> None:
    output = kept(b"start" + b"." * 100_000 + b"end", 20, 1000)
    assert output.text().startswith("start.....\n[... 99988 bytes left out ...]\n")
    assert output.text().endswith(".......end")


async def test_what_lies_in_the_pipe_is_collected_without_waiting_for_its_end() -> None:
    await trio.lowlevel.checkpoint()
    reading, writing = os.pipe()
    pipe = OutputPipe(reading)
    os.write(writing, b"early ")
    pipe.begin(100)
    os.write(writing, b"late")
    assert "early late" == pipe.collect().text()
    assert "" == pipe.collect().text()
    pipe.close()
    pipe.close()
    os.close(writing)


async def test_a_flood_is_told_once_and_reading_goes_on() -> None:
    reading, writing = os.pipe()
    pipe = OutputPipe(reading)
    pipe.begin(10)
    told: list[int] = []

    def write() -> None:
        with os.fdopen(writing, "wb") as file:
            file.write(bytes(1 << 20))

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipe.pump, 1000, lambda: told.append(pipe.total))
            await trio.to_thread.run_sync(write)  # ends only if the pipe is read to the end
    assert 1 == len(told)
    assert told[0] > 1000
    assert 1 << 20 == pipe.collect().total
    pipe.close()


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_the_smallest_bounds_hold(keep: int) -> None:
    output = kept(b"abcdef", keep, 1)
    assert output.is_truncated
    assert keep == len(MARK.sub("", output.text()))
