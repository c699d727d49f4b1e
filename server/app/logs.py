"""Log lines: JSON for machines, text for people; never audio, never what was said, never tokens."""

import json
import logging
import time
from typing import Any

from server.settings import LogFormat

QUIET = ("uvicorn.error", "uvicorn.access", "asyncio", "websockets")
"""Loggers of others: their warnings are wanted, their chatter about every connection is not."""


def fields(**values: object) -> dict[str, dict[str, object]]:
    """The `extra` argument of a log call that says what the line is about.

    Args:
        values: Numbers and short texts; None is left out.
    """
    return {"fields": {name: value for name, value in values.items() if value is not None}}


class _Formatter(logging.Formatter):
    """What both formats share: UTC, and tracebacks without the exceptions' texts, which may quote a peer."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """The time in UTC, ISO 8601."""
        seconds = time.strftime(datefmt or "%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{seconds}.{int(record.msecs):03d}Z"

    def formatException(self, ei: Any) -> str:
        """Where an exception came from and of which kind it was."""
        lines, trace = [], ei[2]
        while trace is not None:
            code = trace.tb_frame.f_code
            lines.append(f"{code.co_filename}:{trace.tb_lineno} in {code.co_name}")
            trace = trace.tb_next
        return "\n".join([*lines, ei[0].__name__])


class JsonFormatter(_Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(_Formatter):
    """Time, level, message, fields."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line, before any traceback."""
        about = " ".join(f"{name}={value}" for name, value in getattr(record, "fields", {}).items())
        return f"{super().formatMessage(record)} {about}".rstrip()


def set_up_logging(format: LogFormat) -> None:
    """Write all loggers' lines to standard error in one format."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if format is LogFormat.json else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
