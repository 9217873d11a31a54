"""Runs one unittest test with the candidate in the same process, for tests that truly need its objects.

This is the weaker mode: a candidate that shares an interpreter with its test can in principle do anything to
it. What is done about that:

* One test per sandbox, and the sandbox is fresh; which tests there must be is known elsewhere beforehand.
* The lane loads the standard library's unittest, and what the test imports, from the read-only toolchain
  before the candidate is there. The candidate then lives in a child of the lane.
* The result goes over a pipe of the child's own, with a word that only our frames have. Exit statuses,
  printed text and files count for nothing. Only a test that ran to its end, once, counts as passed; one that
  is skipped, expected to fail or missing does not.
* What tests are made of (unittest, builtins, numpy's and pandas' assertions, the modules that the test names)
  must be the same objects before and after; the candidate may not look at frames, at the garbage collector's
  lists or at code objects (`judging_guard`).
* What the entry point returns may not be of a class with comparisons of the candidate's own, and the test's
  global names are its own (`judging_meeting`).
"""

from __future__ import annotations

import importlib
import os
import resource
import secrets
import signal
import sys
from typing import Any, NoReturn

from tools.judging_meeting import Meeting
from tools.judging_program import SET_DUMPABLE, process_control

_MAX_RECORD = 4096
_MAX_DETAIL = 600
_FIRST_FREE_DESCRIPTOR = 3
_DESCRIPTORS = 4096


def run_unittest(
    state: dict[str, Any], meeting: dict[str, str], imports: list[str], cpu_seconds: int
) -> dict[str, Any]:
    """Run one test on a candidate.

    Args:
        state: the lane's; not used.
        meeting: the arguments of `Meeting`: candidate, prelude, test, the test's name, the entry point.
        imports: the modules that the test and its prompt import, loaded before the candidate is.
        cpu_seconds: processor time after which the kernel ends it.

    Returns:
        ``{"outcome", "detail"}``: ``passed``, ``failed``, ``error``, ``skipped``, ``tampered``, ``timeout``,
        ``memory``, ``died``; or ``unusable`` when the test itself cannot be run here.
    """
    del state
    missing = _load(["unittest.mock", *imports])
    if missing:
        return {"outcome": "unusable", "detail": missing}
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    process_control(SET_DUMPABLE, 0)  # or the child could write into this process through /proc
    word = secrets.token_hex(16)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _be_test(writing, word, Meeting(**meeting, imports=imports), cpu_seconds)
    os.close(writing)
    try:
        _, status = os.waitpid(child, 0)
        os.set_blocking(reading, False)
        return _read(reading, word) or _died(os.waitstatus_to_exitcode(status))
    except KeyboardInterrupt:  # the call's deadline has passed
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    finally:
        os.close(reading)


def _load(modules: list[str]) -> str:
    """Import `modules`; return which cannot be, with the reason, or nothing."""
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # noqa: BLE001  # whatever a library raises when it is imported
            return f"the test or its prompt imports {module}: {type(error).__name__}: {error}"[:_MAX_DETAIL]
    return ""


def _read(reading: int, word: str) -> dict[str, Any] | None:
    """Return the one record in the pipe if it has the word; None for anything else."""
    try:
        found, _, rest = os.read(reading, _MAX_RECORD).decode("utf-8", "replace").partition("\n")
    except BlockingIOError:
        return None
    outcome, _, detail = rest.partition("\n")
    return {"outcome": outcome, "detail": detail} if found == word else None


def _died(code: int) -> dict[str, Any]:
    if code == -signal.SIGXCPU:
        return {"outcome": "timeout", "detail": "out of processor time"}
    if code == -signal.SIGKILL:
        return {"outcome": "memory", "detail": "killed"}
    return {"outcome": "died", "detail": f"the test's process ended with {code} before the test did"}


def _be_test(writing: int, word: str, meeting: Meeting, cpu_seconds: int) -> NoReturn:
    """Become the process of the test. Never returns."""
    leave, write = os._exit, os.write
    try:
        os.closerange(_FIRST_FREE_DESCRIPTOR, writing)
        os.closerange(writing + 1, _DESCRIPTORS)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
        process_control(SET_DUMPABLE, 1)
        for own in [name for name in sys.modules if name.split(".")[0] == "tools"]:
            del sys.modules[own]  # what the candidate imports under these names is not what runs here
        outcome, detail = meeting.run()
        # By methods of text alone: a library that would do it is the candidate's to change.
        write(writing, "\n".join((word, outcome, detail[:_MAX_DETAIL])).encode("utf-8", "replace"))
    finally:
        leave(0)
