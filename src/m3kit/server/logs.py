"""Structured logs, a JSON object for each line: what happened to a request, never what it said."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import orjson

LOGGER = logging.getLogger("m3kit.server")


class JsonFormatter(logging.Formatter):
    """Formats a record, and the fields that `log` gave it, as a line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        return orjson.dumps(line, default=str).decode()


def log(event: str, level: int = logging.INFO, **fields: Any) -> None:
    """Write an event with its fields; none of them may hold a text."""
    LOGGER.log(level, event, extra={"fields": fields})


def log_error(event: str, error: BaseException, **fields: Any) -> None:
    """Write where an error was raised and of which class it is; its message may quote a text."""
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    log(event, logging.ERROR, error=type(error).__qualname__, where=where, **fields)


def to_stderr(level: int = logging.INFO) -> None:
    """Write everything that the server and its libraries log to stderr, as JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    for name in ("m3kit", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False
