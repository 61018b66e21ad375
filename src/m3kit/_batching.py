"""Cutting a stream into lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

_T = TypeVar("_T")


def batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield lists of `size` items, the last one shorter, reading no further than needed."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def chunked(items: Iterable[_T], *, size: Callable[[_T], int], budget: int) -> Iterator[list[_T]]:
    """
    Group neighbours so that the sizes of each group add up to at most `budget`.

    An item larger than the budget is a group of its own. Reads one item ahead.
    """
    chunk: list[_T] = []
    total = 0
    for item in items:
        if chunk and total + size(item) > budget:
            yield chunk
            chunk, total = [], 0
        chunk.append(item)
        total += size(item)
    if chunk:
        yield chunk
