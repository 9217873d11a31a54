"""Structured logs on stderr: JSON lines for machines, or aligned text for a person at a terminal.

Every line about a session carries its id (not the cookie that opens it). Rows, tool arguments, tool output,
trajectories and secrets are never logged: whoever adds a log line names numbers, names and outcomes only.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, TextIO

import structlog

if TYPE_CHECKING:
    from server.settings import Settings

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Set up logging for the whole process; the standard library's loggers (Hypercorn's) end up in it too.

    Args:
        settings: `log_format` and `log_level` count.
        stream: where the lines go; stderr by default.
    """
    output = stream or sys.stderr
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not output.isatty())
    level = _LEVELS[settings.log_level]
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
        logger_factory=structlog.PrintLoggerFactory(output),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
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
