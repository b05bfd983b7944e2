"""The log: text for people, JSON lines for machines, one line a record, no control character in either.

Owns the form of a record. What is logged, and once, is for the modules that decide things.
"""

import json
import logging
from datetime import UTC, datetime
from typing import TextIO

from dockd.config import Log, LogForm

_OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"asctime", "message", "taskName"}
"""What every record has; anything else was given as `extra`."""


def set_up(settings: Log, *, stream: TextIO) -> logging.Handler:
    """Send every record of this process to `stream`, and warnings too; replaces what was set up before.

    Facts given as `extra` (bay, clip) become fields of the JSON object, or `name=value` after the text.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextLines() if _for_people(settings.form, stream) else JsonLines())
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    return handler


class TextLines(logging.Formatter):
    """A record as `time level logger: message name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """Give one line."""
        words = [_utc(record), record.levelname, f"{record.name}:", record.getMessage()]
        words += [f"{name}={value}" for name, value in _extra(record).items()]
        trace = _trace(self, record)
        return _one_line(" ".join([*words, trace] if trace else words))


class JsonLines(logging.Formatter):
    """A record as one JSON object: ts, level, logger, message, its extra fields, and trace where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Give one line."""
        trace = _trace(self, record)
        # Extra fields go first, so that none can stand in for those of the record itself.
        fields = _extra(record) | {
            "ts": _utc(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        return json.dumps(fields | {"trace": trace} if trace else fields, default=str)


def _for_people(form: LogForm, stream: TextIO) -> bool:
    return form is LogForm.TEXT or (form is LogForm.AUTO and stream.isatty())


def _utc(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _OWN_FIELDS}


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info else ""


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
