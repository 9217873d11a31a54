"""The tool `bash`: a shell whose state lasts."""

from __future__ import annotations

from typing import Any

from tools.registry import Failed, tool
from tools.shell import Shell

_DESCRIPTION = """\
Run a command in a bash shell that stays open: the working directory, variables, functions and background \
jobs last from one call to the next. The working directory starts as /workspace. There is no terminal and \
nothing to read on standard input; start servers and other long-running programs in the background with `&`. \
When a command takes too long it is interrupted, as by Ctrl-C. Answers with what was printed to stdout and \
stderr and the exit code. If the shell itself ended (by `exit`, for example), `shell_reset` is true and the \
next call starts in a fresh one."""


@tool(lane="bash", streams=True, empty={"exit_code": None}, description=_DESCRIPTION)
def bash(state: dict[str, Any], command: str) -> dict[str, Any]:
    """Run `command` in the lane's shell, which is started on first use.

    A non-zero exit code is a result, no failure of the tool. At the deadline the command is interrupted and
    the shell kept where that is possible.

    Args:
        state: what lasts in the lane.
        command: the command to run; may be a script of many lines.

    Returns:
        ``{"exit_code": n}``, 128+n for a command that a signal ended; with ``"shell_reset": true`` when the
        shell has ended, and its variables, functions and working directory with it.

    Raises:
        ValueError: the command holds a NUL character or a lone surrogate. Nothing of it was run.
        OSError: no shell could be started, or there is no room for the command. Nothing of it was run.
        Failed: the deadline came: ``exit_code`` is 130 if the shell was kept, else None.
    """
    if "\0" in command:
        msg = "the command holds a NUL character"
        raise ValueError(msg)
    try:
        script = command.encode("utf-8")
    except UnicodeEncodeError:
        msg = "the command is not valid Unicode text"
        raise ValueError(msg) from None
    shell = state.get("bash")
    if shell is None:
        shell = state["bash"] = Shell()
    try:
        answer = shell.run(script)
    finally:
        if shell.has_ended:
            del state["bash"]
    value: dict[str, Any] = {"exit_code": answer.exit_code}
    if answer.shell_ended:
        value["shell_reset"] = True
    if answer.interrupted:
        raise Failed(value)
    return value
