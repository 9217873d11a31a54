"""The tool `python`: cells in a namespace that lasts."""

from __future__ import annotations

from typing import Any

from tools.cell import Console
from tools.registry import Failed, tool

_DESCRIPTION = """\
Run Python code in an interpreter that stays open: variables, functions and imports last from one call to \
the next. Answers with what was printed to stdout and stderr (with the traceback, if there was an error) \
and, as `result`, the repr of the last line if that is an expression. Open matplotlib figures come back as \
PNG images. The working directory is /workspace. There is nothing to read with input(). Code that takes too \
long gets a KeyboardInterrupt; `interpreter_reset` is true if the interpreter had to be restarted: then its \
variables are gone and files are kept."""


@tool(lane="python", streams=True, empty={"result": None}, description=_DESCRIPTION)
def python(state: dict[str, Any], code: str) -> dict[str, Any]:
    """Run `code` as the next cell of the lane's console, which is made on first use.

    Args:
        state: what lasts in the lane.
        code: the Python code to run; the repr of a last expression is the result.

    Returns:
        ``{"result": text or None}``, with ``"images"``, PNGs in base64, if figures were open.

    Raises:
        Failed: the cell raised, exited, was interrupted or does not compile; ``result`` is None and the
            traceback is on stderr. The namespace is as the cell left it.
    """
    console = state.get("python")
    if console is None:
        console = state["python"] = Console()
    ran = console.run(code)
    value: dict[str, Any] = {"result": ran.result}
    if ran.images:
        value["images"] = ran.images
    if ran.failed:
        raise Failed(value)
    return value


def rehearse(_: dict[str, Any]) -> None:
    """Run a cell in a console that is thrown away.

    A forked interpreter shares its memory until it writes to it; what running a cell writes to is then this
    process's own, and the first real cell takes a quarter of the time. Names nothing, prints nothing.
    """
    Console().run("0")
