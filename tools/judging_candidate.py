"""Holds a candidate's functions and calls them: plain data in, plain data out.

Nothing in this process is believed. Whatever the candidate does to it, all that can leave is an answer in the
encoding of `tools.plain`, and the judge compares what is in it, not what it says of itself.

Functions are found by name: a function of the module, or a method of its class ``Solution``, of which one
instance serves all calls until a call of ``Solution`` itself makes the next.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import types
from collections.abc import Generator
from typing import Any, Callable

from tools import plain

_MODULE = "candidate"
_MAX_MESSAGE = 4096


class _OutOfTime(BaseException):
    """The call has used up its processor time; no ``except Exception`` may hide that."""


@contextlib.contextmanager
def _bounded(cpu_seconds: float | None) -> Generator[None, None, None]:
    """Raise `_OutOfTime` in the block when this process has computed for so long.

    Only against slow solutions: one that catches everything, or takes the signal for itself, meets the
    server's wall clock.
    """
    if cpu_seconds is None:
        yield
        return

    def stop(_: int, __: object) -> None:
        raise _OutOfTime

    before = signal.signal(signal.SIGPROF, stop)
    try:
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds, _AGAIN_SECONDS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    finally:
        signal.signal(signal.SIGPROF, before)


_AGAIN_SECONDS = 0.5


def load_candidate(
    state: dict[str, Any], source: str, prelude: str = "", cpu_seconds: float | None = None
) -> dict[str, Any]:
    """Run the candidate's source, so that its functions can be called.

    Args:
        state: keeps the candidate's namespace.
        source: the candidate. If it is no module by itself (the indented body that completes a prompt),
            it is taken together with `prelude`.
        prelude: run first in the same namespace: imports, or the prompt, whose helpers a solution may rely
            on.
        cpu_seconds: the processor time that it may take; None for no such bound.

    Returns:
        ``{"kind": "loaded"}``, ``{"kind": "timeout"}``, or ``{"kind": "raise", "type", "message"}``.
    """
    module = types.ModuleType(_MODULE)
    sys.modules[_MODULE] = module  # dataclasses and pickle look a class's module up
    state["namespace"] = module.__dict__
    state.pop("solution", None)
    try:
        with _bounded(cpu_seconds):
            for part in _parts(prelude, source):
                exec(part, module.__dict__)
    except _OutOfTime:
        return {"kind": "timeout"}
    except BaseException as error:  # also sys.exit() at its top level: then it is not loaded
        if isinstance(error, KeyboardInterrupt):
            raise
        return _raised(error)
    return {"kind": "loaded"}


def call_candidate(
    state: dict[str, Any], name: str, arguments: str, cpu_seconds: float | None = None
) -> dict[str, Any]:
    """Call the function `name` and return what came of it.

    Args:
        state: what `load_candidate` left.
        name: of the function, or of the method of ``Solution``; ``Solution`` itself makes a new instance,
            which serves the calls that follow.
        arguments: ``[args, kwargs]``, a list and a dict, as a text of `tools.plain`.
        cpu_seconds: the processor time that the call may take; None for no such bound.

    Returns:
        ``{"kind": "value", "value": text}``, ``{"kind": "raise", "type", "message"}``,
        ``{"kind": "timeout"}``, or ``{"kind": "refused", "reason"}`` when the result or an argument is no
        plain data. With it ``"arguments"``, a new text, when the call has changed one of them.
    """
    try:
        args, kwargs = plain.loads(arguments)
    except plain.PlainError as error:
        return {"kind": "refused", "reason": f"an argument: {error}"}
    try:
        with _bounded(cpu_seconds):
            value = _find(state, name)(*args, **kwargs)
    except _OutOfTime:
        return {"kind": "timeout"}
    except BaseException as error:  # SystemExit too: it ends the candidate's call, not the test
        if isinstance(error, KeyboardInterrupt):
            raise
        answer = _raised(error)
    else:
        answer = _returned(value)
    try:
        after = plain.dumps([args, kwargs])
    except plain.PlainError as error:
        return {"kind": "refused", "reason": f"an argument after the call: {error}"}
    if after != arguments:
        answer["arguments"] = after
    return answer


def _parts(prelude: str, source: str) -> list[types.CodeType]:
    """Return what to run, in order."""
    try:
        program = _compiled(source)
    except SyntaxError:
        return [_compiled(prelude + "\n" + source)]
    try:
        return [_compiled(prelude), program]
    except SyntaxError:  # a prompt that is no module by itself, such as a bare signature
        return [program]


def _compiled(source: str) -> types.CodeType:
    # Not this module's `from __future__`, and asserts whatever -O says.
    return compile(source, "solution.py", "exec", dont_inherit=True, optimize=0)


def _find(state: dict[str, Any], name: str) -> Callable[..., Any]:
    namespace = state["namespace"]
    solution = namespace.get("Solution")
    if name == "Solution" and isinstance(solution, type):

        def make(*args: Any, **kwargs: Any) -> None:
            state["solution"] = solution(*args, **kwargs)

        return make
    if isinstance(solution, type) and hasattr(solution, name):
        if "solution" not in state:
            state["solution"] = solution()
        return getattr(state["solution"], name)  # type: ignore[no-any-return]
    if name not in namespace:
        msg = f"the solution defines no {name}"
        raise NameError(msg)
    return namespace[name]  # type: ignore[no-any-return]


def _returned(value: object) -> dict[str, Any]:
    try:
        return {"kind": "value", "value": plain.dumps(value)}
    except plain.PlainError as error:
        return {"kind": "refused", "reason": str(error)}


def _raised(error: BaseException) -> dict[str, Any]:
    try:
        message = str(error)
    except Exception:  # noqa: BLE001  # its __str__ is the candidate's code
        message = ""
    return {"kind": "raise", "type": type(error).__name__, "message": message[:_MAX_MESSAGE]}
