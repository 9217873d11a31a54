from __future__ import annotations

from tools.docstring import description_of, parameters_of

WHOLE = """Book a seat.

    Takes the first that is free.
    Really.

    Args:
        state: ours.
        title: the film, such as ``Alien``: any
            of those that run.
        day (int): which day
        odd

    Returns:
        the seat: a string
    """


def test_the_description_ends_where_the_first_section_begins() -> None:
    assert "Book a seat.\n\nTakes the first that is free.\nReally." == description_of(WHOLE)


def test_each_parameter_has_its_lines_joined() -> None:
    assert {
        "state": "ours.",
        "title": "the film, such as ``Alien``: any of those that run.",
        "day": "which day odd",
    } == parameters_of(WHOLE)


def test_without_a_docstring_nothing_is_said() -> None:
    assert "" == description_of(None)
    assert {} == parameters_of(None)
    assert {} == parameters_of("One line.")


def test_a_docstring_of_sections_only_describes_nothing() -> None:
    assert "" == description_of("Args:\n    x: y\n")
    assert {"x": "y"} == parameters_of("Args:\n    x: y\n")
