"""Cutting a stream into lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

_T = TypeVar("_T")


def batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield lists of `size` items, the last one shorter, reading no further than needed."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
