"""The script that does a row's task."""

from __future__ import annotations

from typing import Any

import pytest

from server.environments import SHIPPED, load_shipped
from server.playing.reference import reference_script
from server.playing.samples import SAMPLES
from server.playing.script import Call, Script

ALL = ("write_file", "bash")
WRITE = Call("write_file", {"path": "a", "content": "x"})
LEFT = {"expected_files": {"a": "x", "b": None}}


@pytest.mark.parametrize(
    ("row", "tools", "script"),
    [
        ({"a": 1}, ALL, None),
        (
            {"oracle": {"calls": [["add", {"by": 1}]]}, "expected_answer": 7},
            ALL,
            Script(calls=(Call("add", {"by": 1}),)),
        ),
        ({"oracle": {"text": "seven"}}, ALL, Script(text="seven")),
        ({"deep": {"solution": "inner"}, "solution": "outer"}, ALL, Script(text="```python\nouter\n```")),
        ({"expected_answer": 7}, ALL, Script(text="The answer is \\boxed{7}.")),
        (
            LEFT,
            ALL,
            Script(
                calls=(
                    Call("write_file", {"path": "a", "content": "x"}),
                    Call("bash", {"command": "rm -rf b"}),
                )
            ),
        ),
        (LEFT, ("write_file",), Script(calls=(WRITE,))),
        (LEFT, (), None),
    ],
)
def test_a_row_tells_how_its_task_is_done(
    row: dict[str, Any], tools: tuple[str, ...], script: Script | None
) -> None:
    assert script == reference_script(row, tools)


def test_samples_are_of_shipped_environments_and_each_has_its_reference() -> None:
    assert set(SAMPLES) <= set(SHIPPED)
    for name, rows in SAMPLES.items():
        tools = load_shipped(name)().toolbox.tools
        assert [] == [row for row in rows if reference_script(row, tools) is None], name
