"""Stages of a stream that work at the same time, with bounded queues between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextvars import copy_context
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

_In = TypeVar("_In")
_Out = TypeVar("_Out")
_T = TypeVar("_T")

_POLL_S = 0.1
"""How often a stage that waits looks whether the stream was given up."""


def overlapped(
    function: Callable[[_In], _Out],
    items: Iterable[_In],
    *,
    threads: int,
    ahead: int,
    wait: bool = True,
) -> Generator[_Out, None, None]:
    """
    Apply a function to each item; yield the results in order.

    The items are read in the caller's thread, `ahead` of them before the first result is waited
    for. What the function raises is raised where its result would have been, and no further item
    is begun then. If reading fails, the results of what was read are yielded first.

    Args:
        function: Called in threads of its own, in the caller's context.
        items: Read as far as needed.
        threads: How many; without one, everything happens in the caller's, an item at a time.
        ahead: How many results may wait or be worked on.
        wait: Whether a stream that is given up waits for the items that are worked on; otherwise
            they are completed in the background, and their results dropped.
    """
    if not threads:
        yield from map(function, items)
        return
    from concurrent.futures import ThreadPoolExecutor  # a tenth of the time of importing m3kit

    begun: deque[Future[_Out]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="m3kit")
    context = copy_context()
    iterator = iter(items)
    failure: BaseException | None = None
    try:
        while failure is None:
            try:
                item = next(iterator)
            except StopIteration:
                break
            except BaseException as error:  # noqa: BLE001  # raised below, after the results
                failure = error
                break
            begun.append(pool.submit(context.copy().run, function, item))
            if len(begun) > ahead:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
        if failure is not None:
            raise failure
    finally:
        pool.shutdown(wait=wait, cancel_futures=True)


def prefetched(items: Iterable[_T], *, ahead: int) -> Generator[_T, None, None]:
    """
    Read a stream in a thread of its own, `ahead` items before they are needed.

    What reading raises is raised after the items before it. A stream that is given up stops the
    thread at its next item.
    """
    queue: Queue[tuple[_T | None, BaseException | None]] = Queue(ahead)
    given_up = Event()
    reader = Thread(
        target=copy_context().run,
        args=(_read, items, queue, given_up),
        name="m3kit-reader",
        daemon=True,  # it may wait for standard input
    )
    reader.start()
    try:
        while True:
            item, error = _next(queue)
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]  # an item, where there is no error
    finally:
        given_up.set()


def _read(
    items: Iterable[_T],
    queue: Queue[tuple[_T | None, BaseException | None]],
    given_up: Event,
) -> None:
    try:
        for item in items:
            _put(queue, (item, None), given_up)
            if given_up.is_set():
                return
        end: BaseException = StopIteration()
    except BaseException as error:  # noqa: BLE001  # raised in the other thread
        end = error
    _put(queue, (None, end), given_up)


def _put(queue: Queue[_T], item: _T, given_up: Event) -> None:
    while not given_up.is_set():
        try:
            queue.put(item, timeout=_POLL_S)
        except Full:
            continue
        return


def _next(queue: Queue[_T]) -> _T:
    """Wait in slices, so that a signal is handled on every platform."""
    while True:
        try:
            return queue.get(timeout=_POLL_S)
        except Empty:
            continue
