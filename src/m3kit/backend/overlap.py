"""A function over a stream, in order, some items ahead of whoever reads the results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def overlapped(
    function: Callable[[_In], _Out], items: Iterable[_In], *, threads: int, ahead: int
) -> Iterator[_Out]:
    """
    Apply a function to each item; yield the results in order.

    The items are read in the caller's thread, `ahead` of them before the first result is waited
    for. What the function raises is raised where its result would have been, and no further item
    is begun then.

    Args:
        function: Called in threads of its own.
        items: Read as far as needed.
        threads: How many; without one, everything happens in the caller's, an item at a time.
        ahead: How many results may wait or be worked on.
    """
    if not threads:
        yield from map(function, items)
        return
    begun: deque[Future[_Out]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="m3kit") as pool:
        try:
            for item in items:
                begun.append(pool.submit(function, item))
                if len(begun) > ahead:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()
