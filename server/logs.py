"""Structured logs on stderr: JSON lines for machines, or aligned text for a person at a terminal.

Every line about a session carries its id (not the cookie that opens it). Rows, tool arguments, tool output,
trajectories and secrets are never logged: whoever adds a log line names numbers, names and outcomes only.

Lines that cannot be written, because the disk is full, or the reader has gone or falls behind, are lost, and
how many they were is said once it can be. Nothing else comes of it: only a thread of its own waits for a log,
and a session does not end for want of one.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TextIO, cast

import structlog

if TYPE_CHECKING:
    from server.settings import Settings

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


_STDERR = 2

MAX_LINES = 2000
"""How many lines may wait for being written."""

SETTLE_SECONDS = 1.0
"""How long the end of the process waits for the last lines."""


class Writer:
    """A stream whose lines are written by a thread of its own, or lost.

    It writes to the descriptor by itself: a thread that is stuck in a buffer of `sys.stderr` when the
    interpreter ends would make it abort.

    Args:
        descriptor: where to write to.
        notice: makes of a number of lost lines one that says so.
    """

    def __init__(self, descriptor: int, notice: Callable[[int], str]) -> None:
        """Start the thread, which ends with the process."""
        self._descriptor, self._notice = descriptor, notice
        self._waiting: SimpleQueue[str | threading.Event] = SimpleQueue()
        self._lost = 0
        self._losing = threading.Lock()
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def write(self, text: str) -> int:
        """Have `text` written, in its turn."""
        if self._waiting.qsize() < MAX_LINES:
            self._waiting.put(text)
        else:
            self._lose(1)
        return len(text)

    def flush(self) -> None:
        """Do nothing: whatever is written is flushed at once."""

    def settle(self) -> None:
        """Wait until all that came before has been written or lost, but not for longer than a moment."""
        settled = threading.Event()
        self._waiting.put(settled)
        settled.wait(SETTLE_SECONDS)

    def _run(self) -> None:
        while True:
            item = self._waiting.get()
            text = item if isinstance(item, str) else ""
            try:
                if lost := self._lost:
                    self._write_out(self._notice(lost) + "\n")
                    self._lose(-lost)
                self._write_out(text)
            except OSError:
                self._lose(1 if text else 0)
            if isinstance(item, threading.Event):
                item.set()

    def _write_out(self, text: str) -> None:
        rest = memoryview(text.encode("utf-8", "backslashreplace"))
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def _lose(self, lines: int) -> None:
        with self._losing:
            self._lost += lines


def _notice(lost: int, *, as_json: bool) -> str:
    event = "log lines were lost: they could not be written"
    return (
        json.dumps({"level": "warning", "event": event, "lost": lost})
        if as_json
        else f"{event} (lost={lost})"
    )


def configure(settings: Settings, descriptor: int = _STDERR) -> Writer:
    """Set up logging for the whole process; the standard library's loggers (Hypercorn's) end up in it too.

    Args:
        settings: `log_format` and `log_level` count.
        descriptor: of the file that the lines go to.

    Returns:
        What writes them. At the end of the process it gets a moment for the last ones.
    """
    is_terminal = os.isatty(descriptor)
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not is_terminal)
    level = _LEVELS[settings.log_level]
    writer = Writer(descriptor, partial(_notice, as_json=as_json))
    atexit.register(writer.settle)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        # Not structlog's own choice, which shows the local variables of each frame: tasks and trajectories.
        else [
            structlog.dev.ConsoleRenderer(
                colors=is_terminal, exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", writer)),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(writer)
    handler.setLevel(max(level, logging.WARNING))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    return writer


def get_logger(name: str) -> Any:
    """Return a logger whose lines say that they come from `name`."""
    return structlog.get_logger(part=name)
