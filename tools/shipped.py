"""The tools that ship, by name. For the server: an environment names them in its `tools`."""

from __future__ import annotations

from tools.bash import bash
from tools.files import edit_file, list_files, read_file, write_file
from tools.python import python
from tools.registry import Tool, ToolError

SHIPPED = {each.name: each for each in (python, bash, read_file, write_file, edit_file, list_files)}
"""Tool name to tool, in the order in which models are shown them."""


def shipped(name: str) -> Tool:
    """Return the shipped tool called `name`.

    Raises:
        ToolError: there is none; the message names those that there are.
    """
    try:
        return SHIPPED[name]
    except KeyError:
        msg = f"there is no shipped tool {name!r}; there are {', '.join(SHIPPED)}. Give your own as an object"
        raise ToolError(msg) from None
