"""Answers that are mathematically equal, ones that are not, and ones that would keep a reader busy."""

from __future__ import annotations

from collections.abc import AsyncIterator

import attrs
import pytest

from sandbox.launcher import open_launcher
from server.verify import symbolic
from server.verify.symbolic import MATH_VERIFIER, MathUnavailableError, symbolically_equal
from tests.server.verify.conftest import Opener


@attrs.frozen
class MathOpener(Opener):
    def open_sandbox(self, limits=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  # as its base
        return self.launcher.open_sandbox(MATH_VERIFIER, limits)


@pytest.fixture(name="mathematician")
async def _mathematician() -> AsyncIterator[MathOpener]:
    async with open_launcher() as launcher:
        yield MathOpener(launcher)


async def test_equal_mathematics_is_equal_and_other_is_not(mathematician: MathOpener) -> None:
    for expected, answer in (
        (r"\frac{1}{2}", "0.5"),
        ("x^2+x", "x(x+1)"),
        (r"2\sqrt{2}", r"\sqrt{8}"),
        ("A", "a"),
    ):
        assert await symbolically_equal(mathematician, expected, answer), answer
    wrong = [
        "",
        "2",
        r"\frac{1}{",
        "x" * 100_000,
        "\u0315" * 50_000 + "\u0316" * 50_000,
        "__import__('os')",
        r"\frac{1}{3}",
        "1/2, 1/3, 1/4",
    ]
    for answer in wrong:
        assert not await symbolically_equal(mathematician, r"\frac{1}{2}", answer), answer


async def test_marks_of_arithmetic_are_no_spelling(mathematician: MathOpener) -> None:
    for expected, answer, is_equal in (("5", "5!", False), ("120", "5!", True), ("52", "5\u00b2", False)):
        assert is_equal is await symbolically_equal(mathematician, expected, answer), answer


async def test_an_answer_that_takes_for_ever_is_not_equal(mathematician: MathOpener) -> None:
    assert not await symbolically_equal(mathematician, "7", "9^{9^{9^{9^{9}}}}", seconds=1.5)


async def test_without_the_library_there_is_no_verdict(opener: Opener) -> None:
    with pytest.raises(MathUnavailableError, match=symbolic.LIBRARY.replace("-", "_")):
        await symbolically_equal(opener, "x", "y")
