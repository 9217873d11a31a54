"""A console: a namespace like that of ``__main__``, in which cells are run one after the other.

Each cell is compiled under a file name of its own, ``<cell 1>`` and so on, and its lines are given to
`linecache`, so that tracebacks of this and of later cells show the source. The namespace is a real module and
is ``sys.modules["__main__"]``, so pickling, dataclasses and ``if __name__ == "__main__"`` work.

A cell is arbitrary code. What it does to its own names is its own affair; what it does to the process
(replacing sys.stdout, closing stdin, forking, changing what SIGINT does) is put right when it ends, so that
the next cell and the reply find things in order.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import inspect
import linecache
import os
import signal
import sys
import traceback
import types
import warnings
from dataclasses import dataclass, field
from typing import Any

from tools.figures import take_figures

RESULT_BYTES = 64 * 1024
"""What is kept of a result's repr in UTF-8: its head and its tail, with a mark between them."""

_FUTURES = sum({getattr(__future__, name).compiler_flag for name in __future__.all_feature_names})


@dataclass(frozen=True)
class Ran:
    """What came of a cell.

    Attributes:
        result: the repr of its last expression; None if there is none, or its value is None.
        images: figures that it left open.
        failed: whether it raised, exited, was interrupted or did not compile. The traceback went to stderr.
    """

    result: str | None = None
    images: list[str] = field(default_factory=list[str])
    failed: bool = False


class Console:
    """Runs cells in one namespace. There should be one in a process: it makes itself ``__main__``."""

    def __init__(self) -> None:
        """Take the place of ``__main__``; let figures need no display, and imports find files here."""
        self._main = types.ModuleType("__main__")
        self._main.__dict__["__builtins__"] = builtins
        self._count = 0
        self._flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self._pid = os.getpid()
        sys.argv = [""]
        if "" not in sys.path:
            sys.path.insert(0, "")
        sys.dont_write_bytecode = True  # __pycache__ would become part of the session's final state
        os.environ.setdefault("MPLBACKEND", "agg")
        # plt.show() is what figures are made for here; without a display matplotlib warns of it each time.
        warnings.filterwarnings(
            "ignore", message=".*is non-interactive, and thus cannot be shown", category=UserWarning
        )

    @property
    def namespace(self) -> dict[str, Any]:
        """The names that cells have bound."""
        return self._main.__dict__

    def run(self, code: str) -> Ran:
        """Run `code` as the next cell.

        Whatever it raises is a failed `Ran`, KeyboardInterrupt and SystemExit too, with the traceback on
        stderr.
        """
        self._count += 1
        name = f"<cell {self._count}>"
        # No mtime: linecache.checkcache, which every traceback calls, leaves such entries alone.
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
        before = _Surroundings()
        try:
            self._prepare()
            return self._run(code, name)
        finally:
            before.restore()

    def _prepare(self) -> None:
        """Put back what an earlier cell may have removed, and let imports see files written since."""
        sys.modules["__main__"] = self._main
        self._main.__dict__.setdefault("__name__", "__main__")
        self._main.__dict__.setdefault("__builtins__", builtins)
        _forget_listings()

    def _run(self, code: str, name: str) -> Ran:
        try:
            body, last = self._compile(code, name)
        except BaseException as error:  # noqa: BLE001  (RecursionError, MemoryError: the code is anything)
            _show(error, compiled=False)
            return Ran(failed=True)
        try:
            _execute(body, self._main.__dict__)
            value = None if last is None else _execute(last, self._main.__dict__)
            result = None if value is None else _bounded(repr(value))
            del value
            self._end_if_forked(None)
            return Ran(result, take_figures())
        except BaseException as error:  # noqa: BLE001  (whatever a cell raises is its outcome)
            self._end_if_forked(error)
            _show(error, compiled=True)
            # After an interrupt there is no time to draw: the figures come with the next cell.
            return Ran(
                images=[] if isinstance(error, KeyboardInterrupt) else _figures_after_error(), failed=True
            )

    def _end_if_forked(self, error: BaseException | None) -> None:
        """End this process if it is a child that the cell forked and that ran out of the cell's end.

        It must not become a second console, answering on the same pipes as the first.
        """
        if os.getpid() == self._pid:
            return
        code = 0
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        elif error is not None:
            _show(error, compiled=True)
            code = 1
        _flush(getattr(sys, "stdout", None))
        _flush(getattr(sys, "stderr", None))
        os._exit(code & 0xFF)

    def _compile(self, code: str, name: str) -> tuple[types.CodeType, types.CodeType | None]:
        """Return the cell's code and, apart, that of its last expression.

        Raises:
            BaseException: what the compiler raises; mostly SyntaxError and ValueError.
        """
        # ``from __future__`` in a cell holds for those after it, as in the interactive interpreter.
        tree = compile(code, name, "exec", self._flags | ast.PyCF_ONLY_AST, dont_inherit=True)
        assert isinstance(tree, ast.Module)  # noqa: S101  (what PyCF_ONLY_AST gives for "exec")
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        body: types.CodeType = compile(tree, name, "exec", self._flags, dont_inherit=True)
        self._flags |= body.co_flags & _FUTURES
        if not isinstance(last, ast.Expr):
            return body, None
        return body, compile(ast.Expression(last.value), name, "eval", self._flags, dont_inherit=True)


class _Surroundings:
    """What of the process a cell may have changed that others rely on."""

    def __init__(self) -> None:
        """Remember it."""
        self._stdout, self._stderr, self._interrupt = sys.stdout, sys.stderr, signal.getsignal(signal.SIGINT)

    def restore(self) -> None:
        """Put it back."""
        for stream in {
            id(each): each for each in (getattr(sys, "stdout", None), getattr(sys, "stderr", None))
        }.values():
            if stream is not self._stdout and stream is not self._stderr:
                _flush(stream)
        sys.stdout, sys.stderr = _open_again(self._stdout, 1), _open_again(self._stderr, 2)
        _flush(sys.stdout)
        _flush(sys.stderr)
        if getattr(getattr(sys, "stdin", None), "closed", True):  # exit() closes it before it raises
            sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115  (lives as long as the process)
        if self._interrupt is not None and signal.getsignal(signal.SIGINT) is not self._interrupt:
            signal.signal(signal.SIGINT, self._interrupt)


def _forget_listings() -> None:
    """Let imports see files written since the last one, for a folder's time of change is too coarse to tell.

    Does what importlib.invalidate_caches does and no more: from Python 3.12 on that imports
    importlib.metadata, which would cost each session some 30 ms.
    """
    finders: dict[str, Any] = dict(sys.path_importer_cache)
    for folder, finder in finders.items():
        if finder is None:  # there was no such folder
            del sys.path_importer_cache[folder]
        elif hasattr(finder, "invalidate_caches"):
            finder.invalidate_caches()


def _flush(stream: Any) -> None:
    try:
        stream.flush()
    except Exception:  # noqa: BLE001, S110  (a cell's own stream may raise anything)
        pass


def _open_again(stream: Any, descriptor: int) -> Any:
    """Return `stream`, or, if it has been closed, a new one on its descriptor."""
    if not stream.closed:
        return stream
    try:
        return open(descriptor, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    except OSError:  # the descriptor is closed too: nothing can be printed any more
        return open(os.devnull, "w", encoding="utf-8")


def _execute(code: types.CodeType, namespace: dict[str, Any]) -> Any:
    """Run compiled code; with a top-level ``await`` in it, in an event loop of its own."""
    value = eval(code, namespace)  # noqa: S307  (what this module is for)
    if code.co_flags & inspect.CO_COROUTINE:
        import asyncio

        return asyncio.run(value)
    return value


def _show(error: BaseException, *, compiled: bool) -> None:
    """Print `error` as the interactive interpreter would, from the first frame of a cell on.

    Args:
        error: what was raised.
        compiled: whether the cell ran at all; what the compiler raises has no frames worth showing.
    """
    trace = error.__traceback__ if compiled else None
    while trace is not None and not trace.tb_frame.f_code.co_filename.startswith("<cell "):
        trace = trace.tb_next
    error.__traceback__ = trace
    try:
        text = "".join(traceback.format_exception(type(error), error, trace))
    except Exception:  # noqa: BLE001  (formatting runs the exception's own code)
        text = f"{type(error).__name__}: <the traceback could not be shown>\n"
    data = text.encode("utf-8", "backslashreplace")
    stream: Any = getattr(sys, "stderr", None)
    try:
        stream.write(data.decode("utf-8"))
    except Exception:  # noqa: BLE001  (the cell has put something else there)
        os.write(2, data)


def _figures_after_error() -> list[str]:
    """Return the open figures; a second error, in drawing them, is not worth hiding the first."""
    try:
        return take_figures()
    except BaseException:  # noqa: BLE001
        return []


def _bounded(text: str) -> str:
    """Return `text` as valid Unicode and with its middle cut out if it is longer than `RESULT_BYTES`."""
    data = str.encode(text, "utf-8", "backslashreplace")  # repr may return a subclass
    if len(data) <= RESULT_BYTES:
        return data.decode("utf-8")
    half = RESULT_BYTES // 2
    head, tail = data[:half].decode("utf-8", "ignore"), data[-half:].decode("utf-8", "ignore")
    cut = len(data) - len(head.encode()) - len(tail.encode())
    return f"{head}\n[... {cut} bytes cut ...]\n{tail}"
