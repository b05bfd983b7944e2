"""The log: one line a record, whatever it holds."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from datetime import datetime

import pytest

from dockd.config import Log, LogForm, LogLevel
from dockd.edges.logs import JsonLines, TextLines, set_up

NAME = 'clip "\x1b[31m\u202e.mp4\n2026-03-01T00:00:00.000Z ERROR forged'


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = handlers, level


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def logger() -> logging.Logger:
    return logging.getLogger("dockd.app.bay")


def test_a_terminal_gets_text() -> None:
    stream = Terminal()
    set_up(Log(), stream=stream)
    logger().info("copied %d clips", 3, extra={"bay": 2})
    (line,) = lines(stream)
    time_utc, _, rest = line.partition(" ")
    assert datetime.fromisoformat(time_utc).utcoffset() is not None
    assert rest == "INFO dockd.app.bay: copied 3 clips bay=2"


def test_what_is_no_terminal_gets_json() -> None:
    stream = io.StringIO()
    set_up(Log(), stream=stream)
    logger().warning("held", extra={"bay": 2, "clip": "c1", "reason": LogLevel.DEBUG})
    (line,) = lines(stream)
    record = json.loads(line)
    assert datetime.fromisoformat(record.pop("ts")).utcoffset() is not None
    assert record == {
        "level": "warning", "logger": "dockd.app.bay", "message": "held", "bay": 2, "clip": "c1", "reason": "debug",
    }  # fmt: skip


@pytest.mark.parametrize(("form", "kind"), [(LogForm.TEXT, TextLines), (LogForm.JSON, JsonLines)])
def test_the_form_may_be_chosen(form: LogForm, kind: type[logging.Formatter]) -> None:
    assert isinstance(set_up(Log(form=form), stream=Terminal()).formatter, kind)
    assert isinstance(set_up(Log(form=form), stream=io.StringIO()).formatter, kind)


@pytest.mark.parametrize("form", [LogForm.TEXT, LogForm.JSON])
def test_a_name_off_a_card_cannot_forge_a_line_or_steer_a_terminal(form: LogForm) -> None:
    stream = io.StringIO()
    set_up(Log(form=form), stream=stream)
    logger().error("copying %s", NAME, extra={"file": NAME})
    (line,) = stream.getvalue().split("\n")[:-1]
    assert line.isprintable()
    assert "\\u202e" in line


@pytest.mark.parametrize("form", [LogForm.TEXT, LogForm.JSON])
def test_an_exception_stays_with_its_record(form: LogForm) -> None:
    stream = io.StringIO()
    set_up(Log(form=form), stream=stream)
    try:
        int(NAME)
    except ValueError:
        logger().exception("stopped")
    (line,) = stream.getvalue().split("\n")[:-1]
    assert "ValueError: invalid literal" in line
    assert line.isprintable()


def test_extra_facts_cannot_stand_in_for_the_records_own() -> None:
    stream = io.StringIO()
    set_up(Log(), stream=stream)
    logger().error("real", extra={"level": "info", "ts": "never", "logger": "other"})
    record = json.loads(stream.getvalue())
    assert (record["level"], record["logger"], record["message"]) == ("error", "dockd.app.bay", "real")
    assert record["ts"] != "never"


def test_less_than_the_level_is_not_written() -> None:
    stream = io.StringIO()
    set_up(Log(level=LogLevel.WARNING), stream=stream)
    logger().info("small")
    logger().warning("grave")
    assert [json.loads(line)["message"] for line in lines(stream)] == ["grave"]


def test_setting_up_again_replaces_what_was_there() -> None:
    first, second = io.StringIO(), io.StringIO()
    set_up(Log(), stream=first)
    set_up(Log(level=LogLevel.DEBUG), stream=second)
    logger().debug("once")
    assert (len(lines(first)), len(lines(second))) == (0, 1)


def test_a_warning_of_python_is_a_record() -> None:
    stream = io.StringIO()
    set_up(Log(), stream=stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old way", DeprecationWarning, stacklevel=1)
    assert "old way" in json.loads(stream.getvalue())["message"]
