"""A task's own checker: more than one right answer, and outputs that attack it."""

from __future__ import annotations

import pytest

from server.verify.checkers import Checker
from server.verify.programs import ProgramCase, ProgramVerifier
from server.verify.verdicts import CaseVerdict, UnusableTestError
from tests.server.verify.conftest import Opener

ANY_FACTORS = """
import sys
given, printed, expected = (open(name).read() for name in sys.argv[1:])
a, b = map(int, printed.split())
if a * b != int(given) or 1 in (a, b):
    sys.exit(f"{a} * {b} is not {given}")
"""

BY = ProgramVerifier(compare=Checker(source=ANY_FACTORS, cpu_seconds=2), cpu_seconds=2)
CASE = ProgramCase("91", "7 13")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("print(7, 13)", CaseVerdict.PASSED),
        ("print(13, 7)", CaseVerdict.PASSED),
        ("", CaseVerdict.WRONG_ANSWER),
        ("print(1, 91)", CaseVerdict.WRONG_ANSWER),
        ("print(7, 13, 1)", CaseVerdict.WRONG_ANSWER),
        ("print('7 __import__(chr(111)+chr(115))._exit(0)')", CaseVerdict.WRONG_ANSWER),
        ("open('checker.py', 'w').write('')\nopen('expected.txt', 'w').write('1')", CaseVerdict.WRONG_ANSWER),
        ("print(7, 13)\nraise SystemExit(1)", CaseVerdict.ERROR),
    ],
)
async def test_the_checker_decides_what_is_right(opener: Opener, source: str, expected: CaseVerdict) -> None:
    (result,) = (await BY.verify(opener, source, [CASE])).results
    assert expected == result.verdict


async def test_a_wrong_answer_says_what_the_checker_said(opener: Opener) -> None:
    (result,) = (await BY.verify(opener, "print(1, 91)", [CASE])).results
    assert result.detail == "Wrong answer: 1 * 91 is not 91"
    assert result.cpu_seconds is not None


async def test_an_output_that_keeps_the_checker_busy_is_wrong(opener: Opener) -> None:
    checker = Checker(source="while input is not None: pass", cpu_seconds=1, wall_seconds=20.0)
    (result,) = (await ProgramVerifier(compare=checker).verify(opener, "print(1)", [CASE])).results
    assert result.verdict is CaseVerdict.WRONG_ANSWER


async def test_a_checker_that_does_not_compile_is_no_verdict(opener: Opener) -> None:
    with pytest.raises(UnusableTestError, match="checker"):
        await ProgramVerifier(compare=Checker(source="(")).verify(opener, "print(7, 13)", [CASE])
