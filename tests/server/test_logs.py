"""Log lines: JSON for machines, text for people, one stream for all loggers."""

from __future__ import annotations

import errno
import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from server import logs
from server.settings import Settings


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def test_json_lines_hold_the_event_and_its_context() -> None:
    output = io.StringIO()
    logs.configure(Settings(log_format="json"), output)
    logs.get_logger("sessions").info("session live", session="0a")
    line = json.loads(output.getvalue())
    assert ("session live", "0a", "sessions", "info") == (
        line["event"],
        line["session"],
        line["part"],
        line["level"],
    )


def test_a_traceback_is_one_json_line() -> None:
    output = io.StringIO()
    logs.configure(Settings(log_format="json"), output)
    logs.get_logger("x").error("failed", exc_info=LookupError())
    (line,) = output.getvalue().splitlines()
    assert "LookupError" in json.loads(line)["exception"]


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_traceback_shows_no_local_variables(log_format: str) -> None:
    output = io.StringIO()
    logs.configure(Settings(log_format=log_format), output)  # type: ignore[arg-type]  # by parametrize

    def fail(task: list[str]) -> None:
        raise LookupError(len(task))

    try:
        fail(["the expected answer".upper()])
    except LookupError:
        logs.get_logger("x").exception("failed")
    assert "LookupError" in output.getvalue()
    assert "THE EXPECTED ANSWER" not in output.getvalue()


def test_what_is_below_the_level_is_not_written() -> None:
    output = io.StringIO()
    logs.configure(Settings(log_format="json", log_level="warning"), output)
    logs.get_logger("x").info("unimportant")
    assert "" == output.getvalue()


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_other_libraries_lines_end_up_in_it_too(log_format: str) -> None:
    output = io.StringIO()
    logs.configure(Settings(log_format=log_format), output)  # type: ignore[arg-type]  # by parametrize
    logging.getLogger("hypercorn.error").warning("from elsewhere")
    assert "from elsewhere" in output.getvalue()
    assert ("json" == log_format) == output.getvalue().startswith("{")


def test_without_a_terminal_auto_means_json() -> None:
    output = io.StringIO()
    logs.configure(Settings(), output)
    logs.get_logger("x").info("event")
    assert output.getvalue().startswith("{")


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_what_cannot_be_written_is_lost_and_told_of_when_it_can(log_format: str) -> None:
    class Disk(io.StringIO):
        is_full = True

        def write(self, text: str) -> int:
            if self.is_full:
                raise OSError(errno.ENOSPC, "no space left on device")
            return super().write(text)

    output = Disk()
    logs.configure(Settings(log_format=log_format), output)  # type: ignore[arg-type]  # by parametrize
    for _ in range(3):
        logs.get_logger("x").error("failed")
    logging.getLogger("y").error("failed, too")
    output.is_full = False
    logs.get_logger("x").info("better")
    lost, better = output.getvalue().splitlines()
    assert "log lines were lost" in lost
    assert "4" in lost
    assert "better" in better
