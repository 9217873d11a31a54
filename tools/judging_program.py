"""Runs a candidate program as ``__main__`` on some input.

The lane's process is ours until the program starts, so the program gets a child of its own: whatever it does
to end itself (``os._exit``, a signal, an endless thread) the lane stays to report the exit status. Descriptor
0 is a file that holds the input, so that `input`, ``sys.stdin.buffer`` and ``open(0)`` all read it.
Descriptors 1 and 2 are the lane's: the server reads what is printed while it is printed. All other
descriptors are closed in the child.

Processor time is bounded by the kernel for each process, and counted for all of them: the lane inherits what
the program leaves running, ends it and waits for it, so that whoever looks at the lane from outside sees the
time of every process. The lane itself is not dumpable, so that none of them can look into it.

A forked child saves the 10 to 20 ms that a new interpreter takes to start. What the end of an interpreter
would do is done by hand: non-daemon threads are waited for, exit handlers run, the streams are flushed.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import resource
import signal
import sys
import tempfile
import threading
import traceback
import types
from typing import Any, BinaryIO, NoReturn

_FILE_NAME = "solution.py"
_FIRST_FREE_DESCRIPTOR = 3
_DESCRIPTORS = 4096


def run_program(
    state: dict[str, Any],
    source: str,
    stdin: str,
    setup: str = "",
    cpu_seconds: int | None = None,
    files: dict[str, str] | None = None,
    argv: list[str] | None = None,
) -> dict[str, Any]:
    """Run `source` to its end.

    Args:
        state: the lane's; not used.
        source: the program. One that does not compile ends with exit code 1, as a script would.
        stdin: what it reads.
        setup: source that is run first in the program's namespace.
        cpu_seconds: processor time after which the kernel ends it with SIGXCPU; None for no such bound.
        files: name to text, written into the working directory first.
        argv: the program's arguments.

    Returns:
        ``{"exit_code": int, "cpu_seconds": float}``; the code is negative for the signal that ended it.
    """
    del state
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # or the child would print what the lane had not yet
    for name, text in (files or {}).items():
        with open(name, "wb") as written:
            written.write(text.encode("utf-8", "surrogatepass"))
    process_control(SET_CHILD_SUBREAPER, 1)
    process_control(SET_DUMPABLE, 0)
    with tempfile.TemporaryFile(buffering=0) as file:
        _fill(file, stdin)
        child = os.fork()
        if child == 0:
            sys.argv = [_FILE_NAME, *(argv or ())]
            _be_program(source, setup, file.fileno(), cpu_seconds)
    try:
        _, status, usage = os.wait4(child, 0)
    except KeyboardInterrupt:  # the call's deadline has passed
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    finally:
        end_leftovers()
    return {
        "exit_code": os.waitstatus_to_exitcode(status),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
    }


def process_control(option: int, value: int) -> None:
    """Call prctl(2); nothing happens where the kernel does not know the option."""
    ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), *[ctypes.c_ulong(0)] * 3)


SET_DUMPABLE, SET_CHILD_SUBREAPER = 4, 36


def end_leftovers() -> None:
    """Kill and reap what runs in this sandbox beside this process and init, where nothing else can be hit.

    Afterwards this process may be looked into again.
    """
    while can_hit_nobody_else():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(-1, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
    process_control(SET_CHILD_SUBREAPER, 0)
    process_control(SET_DUMPABLE, 1)


def can_hit_nobody_else() -> bool:
    """Whether a signal to everybody stays within the sandbox: whether it has a PID namespace of its own.

    Elsewhere everybody is every process of this user. Such a namespace's init is the parent of its lanes, and
    its root has a folder that is this process's.
    """
    return os.getcwd() == "/workspace" and os.getppid() == 1


def _fill(file: BinaryIO, text: str) -> None:
    """Make `text` what is read from `file` next."""
    data = memoryview(text.encode("utf-8", "surrogatepass"))
    while data:
        data = data[file.write(data) :]
    file.seek(0)


def _be_program(source: str, setup: str, input_fd: int, cpu_seconds: int | None) -> NoReturn:
    """Become the program. Never returns, whatever happens."""
    code = 70  # EX_SOFTWARE: we failed before the program began
    try:
        os.dup2(input_fd, 0)
        os.closerange(_FIRST_FREE_DESCRIPTOR, _DESCRIPTORS)
        process_control(SET_DUMPABLE, 1)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if cpu_seconds is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
        _renew_streams()
        code = _run_main(source, setup)
    finally:
        os._exit(code)


def _renew_streams() -> None:
    """Give the program streams as a fresh interpreter has when its streams are files and pipes."""
    streams = [
        open(0, encoding="utf-8", errors="surrogateescape", closefd=False),  # noqa: SIM115  # as long as it lives
        open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False),  # noqa: SIM115
        open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False),  # noqa: SIM115
    ]
    sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__ = streams  # type: ignore[misc]


def _run_main(source: str, setup: str) -> int:
    """Run the program as `__main__` and end it as an interpreter would; return its exit code."""
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=_FILE_NAME, __builtins__=__builtins__)
    sys.modules["__main__"] = main
    code = 0
    try:
        for name, text in (("<setup>", setup), (_FILE_NAME, source)):
            exec(compile(text, name, "exec", dont_inherit=True, optimize=0), main.__dict__)
    except SystemExit as stop:
        code = _exit_code(stop.code)
    except BaseException as error:  # noqa: BLE001  # as the interpreter's own outermost loop
        traceback.print_exception(type(error), error, error.__traceback__.tb_next)  # type: ignore[union-attr]
        code = 1
    try:
        for end in (getattr(threading, "_shutdown", None), getattr(atexit, "_run_exitfuncs", None)):
            if end is not None:
                end()
        if not sys.stdout.closed:
            sys.stdout.flush()
    except BaseException:  # noqa: BLE001  # what an interpreter reports when its end fails
        code = code or 120
    return code


def _exit_code(value: object) -> int:
    """Return what ``sys.exit(value)`` makes the exit code of."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value & 0xFF
    sys.stderr.write(f"{value}\n")
    return 1
