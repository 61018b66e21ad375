"""Counting texts that were longer than a model takes, and warning once for a call."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TypeAlias

_log = logging.getLogger("m3kit")


@dataclass(frozen=True, slots=True)
class Truncation:
    """
    How many of a call's texts were truncated.

    Args:
        texts: How many there were.
        truncated: How many of them were longer than the limit.
        longest: How many tokens the longest has.
        limit: How many a text may have.
        remedy: What the caller can do about it.
    """

    texts: int
    truncated: int
    longest: int
    limit: int
    remedy: str


_Open: TypeAlias = dict[tuple[int, str], Truncation]
_open: ContextVar[_Open | None] = ContextVar("m3kit_truncations", default=None)


def report(truncation: Truncation) -> None:
    """
    Warn on the logger `m3kit` if a text was truncated; within `aggregate_warnings`, at its end.

    Every encoder calls this at the end of a call, so that nothing is truncated silently.
    """
    totals = _open.get()
    if totals is None:
        _warn(truncation)
        return
    limit, remedy = truncation.limit, truncation.remedy
    total = totals.get((limit, remedy), Truncation(0, 0, 0, limit, remedy))
    totals[limit, remedy] = replace(
        total,
        texts=total.texts + truncation.texts,
        truncated=total.truncated + truncation.truncated,
        longest=max(total.longest, truncation.longest),
    )


@contextmanager
def aggregate_warnings() -> Iterator[None]:
    """Add up the reports of several calls in this thread, and warn once at the end."""
    if _open.get() is not None:  # the outermost call warns
        yield
        return
    totals: _Open = {}
    token = _open.set(totals)
    try:
        yield
    finally:
        _open.reset(token)
        for total in totals.values():
            _warn(total)


def _warn(truncation: Truncation) -> None:
    if truncation.truncated:
        _log.warning(
            "%d of %d texts were longer than %d tokens and were cut (the longest has %s); %s",
            truncation.truncated,
            truncation.texts,
            truncation.limit,
            f"{truncation.longest:,}",
            truncation.remedy,
        )
