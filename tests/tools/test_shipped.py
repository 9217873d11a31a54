from __future__ import annotations

import pytest

from tools.registry import ToolError
from tools.shipped import SHIPPED, shipped


def test_the_shipped_tools_are_these_in_this_order() -> None:
    assert ["python", "bash", "read_file", "write_file", "edit_file", "list_files"] == list(SHIPPED)
    assert all(name == shipped(name).name for name in SHIPPED)


def test_an_unknown_name_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(ToolError, match="there is no shipped tool 'sql'; there are python, bash, "):
        shipped("sql")


@pytest.mark.parametrize("name", SHIPPED)
def test_each_is_described_to_the_model_down_to_its_arguments(name: str) -> None:
    definition = shipped(name).definition()

    assert 30 < len(definition["description"])
    assert "Args" not in definition["description"]
    assert all(each["description"] for each in definition["parameters"]["properties"].values())
    assert (name != "list_files") is definition["strict"]
