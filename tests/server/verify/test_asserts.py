"""What a list of asserts says about whom it tests."""

from __future__ import annotations

import pytest

from server.verify.asserts import read_asserts
from server.verify.verdicts import UnusableTestError


def test_what_is_called_and_defined_nowhere_is_the_candidates() -> None:
    test = read_asserts(
        ["assert set(similar((1, 2), (2, 3))) == {2}", "assert len(similar((), ())) == other()"]
    )
    assert test.names == ("similar", "other")
    assert test.pieces == (
        "assert set(similar((1, 2), (2, 3))) == {2}",
        "assert len(similar((), ())) == other()",
    )
    assert test.check is None


def test_an_entry_point_comes_first_and_helpers_are_no_candidates() -> None:
    test = read_asserts(
        ["assert near(f(1), [x for x in y()])"], "def near(a, b): return a == b", entry_point="f"
    )
    assert test.names == ("f", "y")
    assert test.prelude == "def near(a, b): return a == b"


def test_modules_that_nobody_imports_are_imported() -> None:
    test = read_asserts(["assert math.isclose(area(2), math.pi)", "import re; assert re.match(f(), 'x')"])
    assert test.prelude == "import math\n"
    assert test.names == ("area", "f")


@pytest.mark.parametrize("asserts", [["assert ("], ["assert True"], ["assert len([]) == 0"], []])
def test_asserts_that_test_nobody_cannot_be_used(asserts: list[str]) -> None:
    with pytest.raises(UnusableTestError):
        read_asserts(asserts)
