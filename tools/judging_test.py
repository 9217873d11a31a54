"""Runs a data set's test with a proxy for the candidate, one call at a time.

The test runs in a thread. When it calls the proxy, the thread waits and the call goes out as a handler's
return value; the server puts the question to the candidate's sandbox and comes back with the answer, and the
test goes on. So the test, its expected values and its asserts are in a process in which no line of the
candidate's has ever run.

A verdict is "passed" only if the test ran to its end, every statement of it, and the candidate was called at
least once: a skipped, interrupted or empty test is no pass.
"""

from __future__ import annotations

import builtins
import queue
import threading
import types
from typing import Any, Callable

from tools import plain

_MAX_MESSAGE = 1000
_CLASS = "Solution"
_TEXT = "the candidate left an argument, or gave an answer, that makes no sense"


class CandidateError(Exception):
    """The candidate failed in a way that has no exception of its own here."""


def judge_start(
    state: dict[str, Any], prelude: str, test: list[str], names: list[str], check: str | None
) -> Any:
    """Begin a test, and run it up to the first call of the candidate or to its end.

    Args:
        state: keeps the test between calls.
        prelude: source that is run first, the data set's own helpers; never anything of the candidate's.
        test: pieces of source, run in order: a whole test module, or one assert each.
        names: what the candidate is known by in the test. Each is bound to a proxy after the prelude;
            ``Solution`` to one of a class. ``Solution().name`` is that class too.
        check: name of a function of the test that is then called with the proxy of ``names[0]``, which for
            ``Solution().name`` is that method of an instance.

    Returns:
        ``{"call": {"name", "arguments"}}``, the arguments as `call_candidate` takes them, or
        ``{"done": {"passed", "calls", "failure", "error"}}``. `failure` is None, ``"assertion"`` (the
        candidate's answer is wrong), ``"exception"`` (it raised, or the test did), or ``"test"`` (the test
        itself cannot be used: it does not compile, has no `check`, or passes objects).
    """
    state["run"] = run = _Run(prelude, test, names, check)
    return run.start()


def judge_resume(state: dict[str, Any], answer: Any) -> Any:
    """Go on with the candidate's answer to the last call; returns as `judge_start` does."""
    return state["run"].resume(answer)


class _Unusable(BaseException):
    """The test cannot be run this way, whoever the candidate is; no ``except Exception`` may hide that."""


class _Run:
    """One test under way."""

    def __init__(self, prelude: str, test: list[str], names: list[str], check: str | None) -> None:
        self._prelude, self._test, self._names, self._check = prelude, test, names, check
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._turn = threading.Lock()  # a test may use threads of its own
        self._calls = 0
        self._problem: _Unusable | None = None

    def start(self) -> dict[str, Any]:
        threading.Thread(target=self._main, daemon=True).start()
        return self._events.get()

    def resume(self, answer: Any) -> dict[str, Any]:
        self._answers.put(answer)
        return self._events.get()

    def _main(self) -> None:
        failure, error = None, None
        try:
            self._run_test()
        except BaseException as problem:  # noqa: BLE001  # SystemExit too: a test that leaves has not passed
            failure, error = _kind_of(problem), _text_of(problem)
        if self._problem is not None:  # though the test may have caught it
            failure, error = "test", str(self._problem)
        if failure is None and not self._calls:
            failure, error = "test", "the test never called the candidate"
        done = {"passed": failure is None, "calls": self._calls, "failure": failure, "error": error}
        self._events.put({"done": done})

    def _run_test(self) -> None:
        namespace = types.ModuleType("test").__dict__
        proxies = {name.partition("(")[0]: self._stand_in(name) for name in self._names}
        _execute(self._prelude, namespace)
        namespace.update(proxies)
        for piece in self._test:
            _execute(piece, namespace)
        if self._check is not None:
            check = namespace.get(self._check)
            if not callable(check):
                msg = f"the test defines no function {self._check}"
                raise _Unusable(msg)
            first, _, method = self._names[0].partition("().")
            check(getattr(proxies[first](), method) if method else proxies[first])

    def _stand_in(self, name: str) -> Any:
        """Return what the test finds under `name`: a proxy of a function, or of the class ``Solution``."""
        if name.partition("(")[0] != _CLASS:
            return self._proxy(name)
        make, method_of = self._proxy(_CLASS), self._proxy

        class Solution:
            """An instance of the candidate's class; all its attributes are methods."""

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                make(*args, **kwargs)

            def __getattr__(self, name: str) -> Any:
                if name.startswith("__"):  # what Python itself looks for, not a test
                    raise AttributeError(name)
                return method_of(name)

        return Solution

    def _proxy(self, name: str) -> Callable[..., Any]:
        def candidate(*args: Any, **kwargs: Any) -> Any:
            return self._ask(name, list(args), kwargs)

        candidate.__name__ = candidate.__qualname__ = name
        return candidate

    def _ask(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Put one call to the candidate; return, raise and change the arguments as it did."""
        try:
            arguments = plain.dumps([args, kwargs])
        except plain.PlainError as error:
            if self._calls and isinstance(error, plain.TooMuchError):
                # Made of what the candidate has answered. It must not be able to choose an unusable test.
                raise CandidateError(str(error)) from None
            self._problem = _Unusable(f"the test passes an argument that cannot travel: {error}")
            raise self._problem from None
        with self._turn:
            self._events.put({"call": {"name": name, "arguments": arguments}})
            answer = self._answers.get()
            self._calls += 1
        return _take(answer, args, kwargs)


def _execute(source: str, namespace: dict[str, Any]) -> None:
    try:
        code = compile(source, "<test>", "exec", dont_inherit=True, optimize=0)
    except SyntaxError as error:
        msg = f"the test does not compile: {error}"
        raise _Unusable(msg) from None
    exec(code, namespace)


def _text_of(problem: BaseException) -> str:
    if isinstance(problem, _Unusable):
        return str(problem)
    try:
        return f"{type(problem).__name__}: {problem}"[:_MAX_MESSAGE]
    except Exception:  # noqa: BLE001  # a number too long to be written out, say
        return type(problem).__name__


def _kind_of(problem: BaseException) -> str:
    if isinstance(problem, _Unusable):
        return "test"
    return "assertion" if isinstance(problem, AssertionError) else "exception"


def _take(answer: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Make the candidate's answer happen here."""
    try:
        if "arguments" in answer:
            args_after, kwargs_after = plain.loads(answer["arguments"])
            _merged(args, args_after)
            _merged(kwargs, kwargs_after)
        kind = answer["kind"]
        if kind == "value":
            return plain.loads(answer["value"])
        text = str(answer["reason"]) if kind == "refused" else f"{answer['type']}: {answer['message']}"
        kind_of_error = getattr(builtins, answer["type"], None) if kind == "raise" else None
        message = answer.get("message")
    except (plain.PlainError, KeyError, TypeError, ValueError, AttributeError):
        raise CandidateError(_TEXT) from None
    raise _error(kind_of_error, message, text)


def _error(kind: Any, message: Any, text: str) -> Exception:
    """Return the exception that the candidate raised, as far as it may be raised here.

    Only Python's own can be named by a test, so all others are one class. StopIteration would end the test's
    loops early and SystemExit the test itself: a candidate that raises those has failed, and not decided
    anything.
    """
    may_be_raised = isinstance(kind, type) and issubclass(kind, Exception)
    if may_be_raised and not issubclass(kind, (StopIteration, StopAsyncIteration)):
        try:
            return kind(message)  # type: ignore[no-any-return]  # an exception, as was just asked
        except TypeError:  # a UnicodeDecodeError, say, cannot be made of a message
            pass
    return CandidateError(text)


def _merged(old: Any, new: Any) -> Any:
    """Return what is to be where `old` was: `old` itself, changed in place to equal `new`, if it can be."""
    if _are(list, old, new):
        kept = [_merged(*pair) for pair in zip(old, new)]
        old[:] = kept + new[len(kept) :]
    elif _are(dict, old, new):
        merged = {key: _merged(old[key], item) if key in old else item for key, item in new.items()}
        old.clear()
        old.update(merged)
    elif _are(set, old, new):
        old.clear()
        old.update(new)
    elif _are(bytearray, old, new):
        old[:] = new
    elif _are(tuple, old, new) and len(old) == len(new):
        parts = [_merged(*pair) for pair in zip(old, new)]
        return old if all(part is item for part, item in zip(parts, old)) else new
    else:
        return old if type(old) is type(new) and old == new else new
    return old


def _are(kind: type, *values: object) -> bool:
    return all(isinstance(value, kind) for value in values)
