from __future__ import annotations

import traceback

import pytest
import trio

from sandbox.bare import bare_exceptions


def test_a_group_of_one_comes_out_bare_and_without_a_trace_of_the_group() -> None:
    cause = ZeroDivisionError()
    group = ExceptionGroup("outer", [ExceptionGroup("inner", [cause])])
    with pytest.raises(ZeroDivisionError) as raised, bare_exceptions():
        raise group
    assert cause is raised.value
    assert "ExceptionGroup" not in "".join(traceback.format_exception(raised.value))


def test_of_several_the_first_comes_out_and_the_group_is_its_cause() -> None:
    group = ExceptionGroup("both", [KeyError("first"), ValueError("second")])
    with pytest.raises(KeyError, match="first") as raised, bare_exceptions():
        raise group
    assert group is raised.value.__cause__


async def test_a_cancellation_gives_way_to_an_error() -> None:
    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), bare_exceptions():  # noqa: PT012 - a nursery is what is under test
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(fail)


async def test_a_cancellation_alone_stays_one() -> None:
    with trio.move_on_after(0) as scope, bare_exceptions():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.sleep_forever()
    assert scope.cancelled_caught


def test_what_is_no_group_passes_unchanged() -> None:
    plain = KeyError("plain")
    with pytest.raises(KeyError, match="plain"), bare_exceptions():
        raise plain
    with bare_exceptions():
        pass
