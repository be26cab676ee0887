"""What a line of the log looks like: for people, or for programs."""

from __future__ import annotations

import argparse
import json
import logging
from datetime import UTC, datetime
from typing import Any

import orjson

from bazar import trace_context
from bazar.errors import BadRequest
from bazar.http.access_log import Lines

FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log-format", default="text", help=f"{' or '.join(FORMATS)}")
    parser.add_argument("--log-level", default="info", help=f"from which on: {', '.join(LEVELS)}")


def check(flags: argparse.Namespace) -> None:
    """Raise BadRequest if the flags name no format, or no level."""
    for name, value, known in (
        ("--log-format", flags.log_format, FORMATS),
        ("--log-level", flags.log_level, LEVELS),
    ):
        if value not in known:
            raise BadRequest(f"{name}: {value!r} is none of {', '.join(known)}")


class LineByLine(logging.Formatter):
    """Begins every line of a message as if it were a message of its own. What a node says while it
    works for a request ends with the request's id."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if "\n" in text and not record.exc_info:
            beginning, _, _ = text.partition(record.message)
            text = text.replace("\n", "\n" + beginning)
        own = trace_context.current.get()
        if own and not isinstance(record.msg, Lines):
            first, end, more = text.partition("\n")
            text = f"{first} ({own}){end}{more}"
        return text

    @classmethod
    def with_time(cls) -> LineByLine:
        return cls("%(asctime)s %(levelname).1s %(message)s")


class JSONLines(logging.Formatter):
    """One object a line: `time` (RFC 3339), `level`, `node` and `message`, and what is known of the
    request. `node` is who says it where the message itself does not name one."""

    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = node

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        head = {"time": time.replace("+00:00", "Z"), "level": record.levelname.lower()}
        if isinstance(record.msg, Lines):
            return "\n".join(_line({**head, **plain}) for plain in record.msg.plain())
        plain: dict[str, Any] = {**head, "node": self._node, "message": record.getMessage()}
        if own := trace_context.current.get():
            plain["trace_id"] = own
        if record.exc_info:
            plain["exception"] = self.formatException(record.exc_info)
        return _line(plain)


def formatter(log_format: str, node: str) -> logging.Formatter:
    return JSONLines(node) if log_format == "json" else LineByLine.with_time()


def dropped(log_format: str, count: int) -> str:
    """Return the line that stands for so many that nobody has read."""
    text = f"({count} lines were dropped here: the log was not read)"
    if log_format != "json":
        return text
    made = logging.makeLogRecord({"levelname": "WARNING", "msg": text})
    return JSONLines("-").format(made)


def _line(plain: dict[str, Any]) -> str:
    try:
        return orjson.dumps(plain).decode()
    except TypeError:  # half a character, as in the name of a file
        return json.dumps(plain)
