"""Log lines: JSON for machines, text for people, one stream for all loggers."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import attrs
import pytest
import structlog

from server import logs
from server.settings import Settings


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(logs, "SETTLE_SECONDS", 20.0)  # here the lines are waited for, and not a moment
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@attrs.frozen
class Log:
    """A file that log lines go to, open for as long as a test."""

    path: Path
    stream: TextIO

    def configure(self, **settings: Any) -> logs.Writer:
        return logs.configure(Settings(**settings), self.stream.fileno())

    def text(self, writer: logs.Writer) -> str:
        writer.settle()
        return self.path.read_text()


@pytest.fixture(name="log")
def _log(tmp_path: Path) -> Iterator[Log]:
    with (tmp_path / "log").open("w") as stream:
        yield Log(tmp_path / "log", stream)


def test_json_lines_hold_the_event_and_its_context(log: Log) -> None:
    writer = log.configure(log_format="json")
    logs.get_logger("sessions").info("session live", session="0a")
    line = json.loads(log.text(writer))
    assert ("session live", "0a", "sessions", "info") == (
        line["event"],
        line["session"],
        line["part"],
        line["level"],
    )


def test_a_traceback_is_one_json_line(log: Log) -> None:
    writer = log.configure(log_format="json")
    logs.get_logger("x").error("failed", exc_info=LookupError())
    (line,) = log.text(writer).splitlines()
    assert "LookupError" in json.loads(line)["exception"]


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_traceback_shows_no_local_variables(log: Log, log_format: str) -> None:
    writer = log.configure(log_format=log_format)

    def fail(task: list[str]) -> None:
        raise LookupError(len(task))

    try:
        fail(["the expected answer".upper()])
    except LookupError:
        logs.get_logger("x").exception("failed")
    assert "LookupError" in log.text(writer)
    assert "THE EXPECTED ANSWER" not in log.text(writer)


def test_what_is_below_the_level_is_not_written(log: Log) -> None:
    writer = log.configure(log_format="json", log_level="warning")
    logs.get_logger("x").info("unimportant")
    assert "" == log.text(writer)


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_other_libraries_lines_end_up_in_it_too(log: Log, log_format: str) -> None:
    writer = log.configure(log_format=log_format)
    logging.getLogger("hypercorn.error").warning("from elsewhere")
    assert "from elsewhere" in log.text(writer)
    assert ("json" == log_format) == log.text(writer).startswith("{")


def test_without_a_terminal_auto_means_json(log: Log) -> None:
    writer = log.configure()
    logs.get_logger("x").info("event")
    assert log.text(writer).startswith("{")


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_what_cannot_be_written_is_lost_and_told_of_when_it_can(log: Log, log_format: str) -> None:
    with Path("/dev/full").open("w") as full, os.fdopen(os.dup(log.stream.fileno()), "w") as disk:
        os.dup2(full.fileno(), log.stream.fileno())
        writer = log.configure(log_format=log_format)
        for _ in range(3):
            logs.get_logger("x").error("failed")
        logging.getLogger("y").error("failed, too")
        writer.settle()
        os.dup2(disk.fileno(), log.stream.fileno())
    logs.get_logger("x").info("better")
    lost, better = log.text(writer).splitlines()
    assert "log lines were lost" in lost
    assert "4" in lost
    assert "better" in better


def test_what_nobody_reads_waits_up_to_a_bound_and_the_rest_is_counted() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    total = logs.MAX_LINES + 500
    numbers: list[int] = []
    lost = 0
    with os.fdopen(reading) as lines, os.fdopen(writing, "w") as stream:
        writer = logs.configure(Settings(log_format="json"), stream.fileno())
        for number in range(total):
            logs.get_logger("x").info("event", number=number)
        while len(numbers) + lost < total:
            line = json.loads(lines.readline())
            lost += line.get("lost", 0)
            numbers += [line["number"]] if "number" in line else []
        writer.settle()
    assert sorted(numbers) == numbers
    assert logs.MAX_LINES <= len(numbers) < total
