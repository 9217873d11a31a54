from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any

import pytest

from tests.tools.user_modules import load
from tools.schema import UnsupportedAnnotation, parameters_from, shape_of
from tools.shapes import Problem

if TYPE_CHECKING:
    from pathlib import Path

    from somewhere_else import State  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]


def schemas(function: Any, **descriptions: str) -> dict[str, Any]:
    return {each.name: each.schema() for each in parameters_from(function, descriptions)}


def test_string_annotations_of_a_users_module_are_resolved(tmp_path: Path) -> None:
    module = load(
        tmp_path,
        "from __future__ import annotations\n"
        "from typing import Annotated, Literal, Optional\n"
        "Size = Literal['s', 'm']\n"
        "def f(state, size: Size, n: Annotated[Optional[int], 'how many'] = None,"
        " tags: list[str] = ['a']): ...\n",
    )

    assert {
        "size": {"type": "string", "enum": ["s", "m"]},
        "n": {"anyOf": [{"type": "integer"}, {"type": "null"}], "description": "how many", "default": None},
        "tags": {"type": "array", "items": {"type": "string"}, "default": ["a"]},
    } == schemas(module.f)


def test_names_for_type_checkers_only_do_no_harm_where_nothing_is_asked_for() -> None:
    def f(state: State, x: int) -> State: ...

    assert {"x": {"type": "integer"}} == schemas(f)


def test_a_description_comes_from_the_annotation_before_the_docstring() -> None:
    def f(state: Any, x: typing.Annotated[int, "annotated"], y: int, z: int) -> None: ...

    found = schemas(f, x="told", y="told")
    assert ["annotated", "told", None] == [each.get("description") for each in found.values()]


def test_a_default_that_is_no_json_is_not_told_to_the_model() -> None:
    def f(state: Any, x: Any = object(), y: Any = (1,), z: Any = float("inf"), w: Any = {1: 2}) -> None: ...  # noqa: B006, B008

    assert [{}, {}, {}, {}] == list(schemas(f).values())
    assert [False] * 4 == [each.required for each in parameters_from(f, {})]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x", "parameter 'x' has no annotation, so nothing can be checked or told to the model"),
        (
            "x: nonesuch",
            "parameter 'x': 'nonesuch' cannot be resolved: NameError: name 'nonesuch' is not defined",
        ),
        ("x: tuple", "parameter 'x': <class 'tuple'> has no JSON shape"),
        ("x: dict[int, str]", "parameter 'x': dict[int, str] has no JSON shape"),
        ("x: set[str] | None", "parameter 'x': set[str] has no JSON shape"),
        ("x: list[bytes]", "parameter 'x': <class 'bytes'> has no JSON shape"),
    ],
)
def test_an_annotation_without_a_shape_is_an_error_that_names_it(
    tmp_path: Path, source: str, message: str
) -> None:
    module = load(tmp_path, f"from __future__ import annotations\ndef f(state, {source}): ...\n")
    with pytest.raises(UnsupportedAnnotation) as caught:
        parameters_from(module.f, {})

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("annotation", [typing.Literal[b"a"], "str", 5, typing.TypeVar("T"), Problem, [1]])
def test_what_is_no_type_has_no_shape(annotation: Any) -> None:
    with pytest.raises(UnsupportedAnnotation, match="has no JSON shape"):
        shape_of(annotation)
