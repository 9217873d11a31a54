from __future__ import annotations

import functools
import subprocess
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.lanes import ROOT
from tools import Failed, Tool, ToolError, tool
from tools.registry import MAX_PROBLEMS

if TYPE_CHECKING:
    from collections.abc import Callable


@tool
def book(
    state: dict[str, Any],
    title: str,
    day: Annotated[int, "day of the month"],
    seat: Optional[Literal["aisle", "window"]] = None,  # noqa: UP045 - the old spelling is under test
) -> str:
    """Book a seat.

    Args:
        state: what lasts.
        title: the film.
        day: not told, since the annotation says more.
        seat: where to sit.

    Returns:
        what was booked.
    """
    state["booked"] = (title, day, seat)
    return f"{title} on {day}"


def test_a_decorated_function_is_a_tool_and_can_still_be_called() -> None:
    state: dict[str, Any] = {}

    assert isinstance(book, Tool)
    assert "Alien on 3" == book(state, "Alien", day=3)
    assert {"booked": ("Alien", 3, None)} == state
    assert "<Tool book lane=tools>" == repr(book)


def test_an_argument_may_be_called_like_anything() -> None:
    @tool
    def odd(state: Any, self: int, function: int, tool: int) -> int:
        return self + function + tool

    assert 6 == odd(None, self=1, function=2, tool=3)
    assert [] == odd.problems({"self": 1, "function": 2, "tool": 3})


def test_a_tool_tells_a_model_what_it_takes() -> None:
    assert {
        "type": "function",
        "name": "book",
        "description": "Book a seat.",
        "parameters": {
            "type": "object",
            "properties": {
                "title": {"type": "string", "description": "the film."},
                "day": {"type": "integer", "description": "day of the month"},
                "seat": {
                    "anyOf": [{"type": "string", "enum": ["aisle", "window"]}, {"type": "null"}],
                    "description": "where to sit.",
                    "default": None,
                },
            },
            "required": ["title", "day"],
            "additionalProperties": False,
        },
        "strict": False,
    } == book.definition()


def test_strict_is_claimed_only_where_the_schema_is_strict() -> None:
    def closed(state: Any, a: int, b: list[str]) -> None: ...
    def optional(state: Any, a: int = 1) -> None: ...
    def open_object(state: Any, a: dict[str, int]) -> None: ...
    def nothing(state: Any) -> None: ...

    assert [True, False, False, True] == [
        tool(each).definition()["strict"] for each in (closed, optional, open_object, nothing)
    ]


def test_the_decorator_takes_what_it_is_told() -> None:
    @tool(name="other-name", lane="mine", streams=True, empty={"x": None}, description="Said here.")
    def function(state: Any) -> None:
        """Not said."""

    assert ("other-name", "mine", True, {"x": None}, "Said here.") == (
        function.name,
        function.lane,
        function.streams,
        function.empty,
        function.description,
    )


def test_good_arguments_have_no_problems() -> None:
    assert [] == book.problems({"title": "Alien", "day": 3})
    assert [] == book.problems({"day": 3, "seat": "aisle", "title": ""})


def test_problems_come_in_order_and_name_the_field() -> None:
    body = {"b": 1, "day": "3", "a": None}

    assert [
        {"type": "missing", "loc": ["body", "title"], "msg": "Field required", "input": body},
        {"type": "int_type", "loc": ["body", "day"], "msg": "Input should be a valid integer", "input": "3"},
        {
            "type": "extra_forbidden",
            "loc": ["body", "b"],
            "msg": "Extra inputs are not permitted",
            "input": 1,
        },
        {
            "type": "extra_forbidden",
            "loc": ["body", "a"],
            "msg": "Extra inputs are not permitted",
            "input": None,
        },
    ] == book.problems(body)


@given(st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers()))
def test_a_body_that_is_no_object_has_one_problem(body: object) -> None:
    assert [
        {"type": "dict_type", "loc": ["body"], "msg": "Input should be a valid dictionary", "input": body}
    ] == book.problems(body)


@pytest.mark.parametrize(
    "arguments",
    [
        {"lines": ["x"] * 1_000_000},
        {"lines": [float("nan")] * 1_000_000},
        dict.fromkeys(map(str, range(100_000))),
    ],
    ids=["of another type", "no number", "not asked for"],
)
def test_of_a_million_problems_a_hundred_are_told(arguments: dict[str, Any]) -> None:
    @tool
    def count(state: dict[str, Any], lines: list[int] | None = None) -> int:
        """Count."""
        return len(lines or [])

    assert MAX_PROBLEMS == len(count.problems(arguments))


def test_a_number_that_json_cannot_write_is_the_only_problem() -> None:
    assert [
        {
            "type": "finite_number",
            "loc": ["body", "title"],
            "msg": "Input should be a finite number",
            "input": "inf",
        }
    ] == book.problems({"title": float("inf")})


class WithCall:
    def __call__(self, state: Any) -> None: ...


async def coroutine(state: Any) -> None: ...


def generator(state: Any) -> Any:
    yield


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda state: None, "tool '<lambda>': a name is"),
        (coroutine, "tool 'coroutine': must be a plain function"),
        (generator, "tool 'generator': must be a plain function"),
        (WithCall(), "tool '': a name is"),
        (functools.partial(generator), "tool '': a name is"),
        (print, "tool 'print': must be a plain function"),
    ],
    ids=["lambda", "coroutine", "generator", "callable object", "partial", "built-in"],
)
def test_what_could_not_run_is_refused_when_it_is_decorated(
    function: Callable[..., Any], message: str
) -> None:
    with pytest.raises(ToolError) as caught:
        tool(function)

    assert str(caught.value).startswith(message)


def test_a_signature_that_no_call_could_fill_is_refused() -> None:
    def no_state(x: int) -> None: ...
    def nothing() -> None: ...
    def args(state: Any, *args: int) -> None: ...
    def kwargs(state: Any, **more: int) -> None: ...
    def positional(state: Any, x: int, /) -> None: ...

    first: list[Callable[..., Any]] = [no_state, nothing]
    for function in first:
        with pytest.raises(ToolError, match="the first parameter must be `state`"):
            tool(function)
    others: list[Callable[..., Any]] = [args, kwargs, positional]
    for function in others:
        with pytest.raises(ToolError, match="cannot be given by name"):
            tool(function)


@pytest.mark.parametrize("name", ["", "a b", "verify/x", "é", "x" * 65, "a\n"])
def test_a_name_that_no_route_could_have_is_refused(name: str) -> None:
    with pytest.raises(ToolError, match="a name is 1 to 64 of"):

        @tool(name=name)
        def function(state: Any) -> None: ...


def test_annotations_are_read_when_the_server_asks_and_not_before() -> None:
    def plain(state: Any, x: Any) -> None: ...

    plain.__annotations__["x"] = "Nonesuch"
    late = tool(name="late")(plain)

    for ask in (late.schema, late.definition, lambda: late.problems({})):
        with pytest.raises(ToolError, match="tool 'late': parameter 'x': 'Nonesuch' cannot be resolved"):
            ask()


def test_a_failure_carries_its_value() -> None:
    assert {"result": None} == Failed({"result": None}).value


def test_the_package_needs_the_standard_library_only() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "import tools.python, tools.bash, tools.files\n"
        "tops = {name.partition('.')[0] for name in set(sys.modules) - before} - {'tools'}\n"
        "assert tops <= sys.stdlib_module_names, tops - sys.stdlib_module_names\n"
        "assert not tops & {'asyncio', 'pathlib', 'tempfile', 'typing_extensions'}, tops\n"
    )
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({str(ROOT)!r})\n{code}"], check=True
    )
