"""Texts that were longer than a model takes: said once for a call, however many batches it has."""

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
    How many of a call's texts were cut.

    Args:
        texts: How many there were.
        cut: How many of them were longer than the limit.
        longest: How many tokens the longest has.
        limit: How many a text may have.
        remedy: What the caller can do about it.
    """

    texts: int
    cut: int
    longest: int
    limit: int
    remedy: str


_Open: TypeAlias = dict[tuple[int, str], Truncation]
_open: ContextVar[_Open | None] = ContextVar("m3kit_cuts", default=None)


def report(cut: Truncation) -> None:
    """
    Warn on the logger `m3kit` if something was cut; within `aggregate_warnings`, at its end.

    Every encoder calls this at the end of a call, so that nothing is truncated silently.
    """
    gathered = _open.get()
    if gathered is None:
        _say(cut)
        return
    known = gathered.get((cut.limit, cut.remedy), Truncation(0, 0, 0, cut.limit, cut.remedy))
    gathered[cut.limit, cut.remedy] = replace(
        known,
        texts=known.texts + cut.texts,
        cut=known.cut + cut.cut,
        longest=max(known.longest, cut.longest),
    )


@contextmanager
def aggregate_warnings() -> Iterator[None]:
    """Add up the reports of several calls in this thread, and say them together at the end."""
    if _open.get() is not None:  # whoever began will say it
        yield
        return
    gathered: _Open = {}
    token = _open.set(gathered)
    try:
        yield
    finally:
        _open.reset(token)
        for cut in gathered.values():
            _say(cut)


def _say(cut: Truncation) -> None:
    if cut.cut:
        _log.warning(
            "%d of %d texts were longer than %d tokens and were cut (the longest has %s); %s",
            cut.cut,
            cut.texts,
            cut.limit,
            f"{cut.longest:,}",
            cut.remedy,
        )
