"""Silence for a call that may well fail, whose trace pymilvus and Milvus Lite would print."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_LOGGERS = [logging.getLogger(name) for name in ("pymilvus", "milvus_lite")]
_LOCK = Lock()
_before: list[list[int]] = []


@contextmanager
def silenced() -> Iterator[None]:
    """Log nothing of theirs; of several threads in here, the last to leave turns it on again."""
    with _LOCK:
        _before.append([logger.level for logger in _LOGGERS])
        _set([logging.CRITICAL + 1] * len(_LOGGERS))
    try:
        yield
    finally:
        with _LOCK:
            first = _before[0]
            _before.pop()
            if not _before:
                _set(first)


def _set(levels: list[int]) -> None:
    for logger, level in zip(_LOGGERS, levels, strict=True):
        logger.setLevel(level)
