"""How tools get into a sandbox: as names to import there, or as source. Server side only.

What belongs to the shipped `tools` package is imported inside, where the package is mounted. A user's own
tool lives in a module that cannot be imported inside, and must not be: that module may hold the ground truth.
So its function travels as source (`tools.source`), with what it names and nothing else.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Collection, Iterable
from typing import Any

from sandbox.profile import Handler
from tools.registry import Tool
from tools.source import source_of


def handlers_of(tools: Iterable[Tool], importable: Collection[str] = ()) -> tuple[Handler, ...]:
    """Return what a sandbox profile needs to run `tools`, in their order.

    Tools of one file travel in one piece of source, so that they share classes, and share globals within a
    lane.

    Args:
        tools: shipped tools and users'.
        importable: names of top-level modules that can be imported inside, besides the standard library,
            `tools`, and what is installed as a package on the server.

    Raises:
        ToolError: a function needs something that cannot travel, or its source cannot be found.
    """
    listed = tuple(tools)
    files: dict[int, list[Tool]] = {}
    for tool in listed:
        if not _is_ours(tool):
            files.setdefault(_file_of(tool), []).append(tool)
    sources = {file: source_of(members, importable) for file, members in files.items()}
    modules = {file: f"custom_tools_{number}" for number, file in enumerate(files, start=1)}

    def handler(tool: Tool) -> Handler:
        module, source = tool.function.__module__, None
        if not _is_ours(tool):
            module, source = modules[_file_of(tool)], sources[_file_of(tool)]
        target = f"{module}:{tool.function.__name__}"
        return Handler(name=tool.name, lane=tool.lane, target=target, source=source, streams=tool.streams)

    return tuple(map(handler, listed))


def handler_of(tool: Tool, importable: Collection[str] = ()) -> Handler:
    """Return what a sandbox profile needs to run `tool` alone; see `handlers_of`.

    Raises:
        ToolError: as `handlers_of`.
    """
    return handlers_of([tool], importable)[0]


def _is_ours(tool: Tool) -> bool:
    """Whether the tool can be imported inside, from the shipped package."""
    function = tool.function
    if function.__module__.partition(".")[0] != __package__:
        return False
    return getattr(sys.modules.get(function.__module__), function.__name__, None) is tool


def _file_of(tool: Tool) -> int:
    """Tell files apart by their namespaces: one file may have been loaded twice."""
    function: Any = inspect.unwrap(tool.function)
    return id(function.__globals__)
