"""Structured logs on stderr: JSON lines for machines, or aligned text for a person at a terminal.

Every line about a session carries its id (not the cookie that opens it). Rows, tool arguments, tool output,
trajectories and secrets are never logged: whoever adds a log line names numbers, names and outcomes only.

Lines that cannot be written, because the disk is full or the reader has gone, are lost, and how many they
were is said once it can be. Nothing else comes of it: a session does not end for want of a log.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO, cast

import structlog

if TYPE_CHECKING:
    from server.settings import Settings

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class _Forgiving:
    """A stream that loses what cannot be written.

    Args:
        stream: where to write to.
        notice: makes of a number of lost lines one that says so.
    """

    def __init__(self, stream: TextIO, notice: Callable[[int], str]) -> None:
        """Have lost nothing yet."""
        self._stream, self._notice = stream, notice
        self._lost = 0

    def write(self, text: str) -> int:
        """Write `text`, after what is to be said of lines lost before."""
        try:
            if self._lost:
                self._stream.write(self._notice(self._lost) + "\n")
                self._stream.flush()
                self._lost = 0
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self._lost += 1
        return len(text)

    def flush(self) -> None:
        """Do nothing: whatever is written is flushed at once."""


def _notice(lost: int, *, as_json: bool) -> str:
    event = "log lines were lost: they could not be written"
    return (
        json.dumps({"level": "warning", "event": event, "lost": lost})
        if as_json
        else f"{event} (lost={lost})"
    )


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Set up logging for the whole process; the standard library's loggers (Hypercorn's) end up in it too.

    Args:
        settings: `log_format` and `log_level` count.
        stream: where the lines go; stderr by default.
    """
    output = stream or sys.stderr
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not output.isatty())
    level = _LEVELS[settings.log_level]
    forgiving = _Forgiving(output, partial(_notice, as_json=as_json))
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
                colors=output.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", forgiving)),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(forgiving)
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


def get_logger(name: str) -> Any:
    """Return a logger whose lines say that they come from `name`."""
    return structlog.get_logger(part=name)
