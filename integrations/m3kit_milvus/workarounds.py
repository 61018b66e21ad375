"""Workarounds for pymilvus: its log of calls that may fail, and its validation of texts."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_LOGGERS = [logging.getLogger(name) for name in ("pymilvus", "milvus_lite")]
_LOCK = Lock()
_levels: list[list[int]] = []


class AtomicStr(str):
    """
    A str that iterates as one item, so that pymilvus validates it once and not per character.

    pymilvus takes a text for a list of texts, which costs 30 ns a character.
    """

    __slots__ = ()

    def __iter__(self) -> Iterator[str]:
        return iter((self,))


@contextmanager
def silenced() -> Iterator[None]:
    """
    Suppress the log of pymilvus and Milvus Lite, which print the trace of a call that fails.

    Where several threads are inside, the last to leave restores it.
    """
    with _LOCK:
        _levels.append([logger.level for logger in _LOGGERS])
        _set([logging.CRITICAL + 1] * len(_LOGGERS))
    try:
        yield
    finally:
        with _LOCK:
            first = _levels[0]
            _levels.pop()
            if not _levels:
                _set(first)


def _set(levels: list[int]) -> None:
    for logger, level in zip(_LOGGERS, levels, strict=True):
        logger.setLevel(level)
