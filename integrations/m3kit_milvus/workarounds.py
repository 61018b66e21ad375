"""Workarounds for pymilvus: its log of calls that fail, its checks of texts, its pages of rows."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from m3kit_milvus.scalars import quoted

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


def next_page(pages: Any) -> list[Any]:
    """
    Return the next rows of a `query_iterator`.

    It asks for the rows beyond the last one by a filter in which it does not quote the key: a key
    with a quotation mark would end the literal.
    """
    page: list[Any] = pages.next()
    cursor = pages._next_id  # noqa: SLF001  # it has no other way to be told
    if isinstance(cursor, str):
        pages._next_id = quoted(cursor)[1:-1]  # noqa: SLF001
    return page


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
