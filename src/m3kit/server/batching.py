"""One queue for the items of all requests, computed together in batches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import islice
from threading import Condition, Thread
from typing import Any, Generic, Self, TypeVar

from m3kit.server.errors import RequestError, overloaded, too_large
from m3kit.server.logs import log_error

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_WINDOW = 512
"""How many of the oldest waiting items a batch is chosen from."""

_SECONDS = 30
"""The most seconds that a client is asked to wait."""


@dataclass(slots=True)
class _Job(Generic[_Result]):
    """The items of one call, and their results so far."""

    results: list[_Result | None]
    missing: int
    done: asyncio.Future[None]


@dataclass(slots=True, eq=False)
class _Entry(Generic[_Item, _Result]):
    """An item that waits."""

    job: _Job[_Result]
    place: int
    item: _Item
    size: int
    key: Hashable


@dataclass(slots=True)
class Place:
    """Room in the queue; what is computed for a request takes it up until it is left."""

    batcher: Batcher[Any, Any]
    size: int

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.batcher.leave(self)


class Batcher(Generic[_Item, _Result]):
    """
    Joins the items of concurrent calls into batches, oldest first.

    Threads of its own take the batches, so that the model never waits for the event loop while
    there is something to compute. All else is called in the loop.

    The oldest item is in the next batch, and beside it those of its key that are nearest to it in
    size, so that a batch holds items of like size and none waits for ever. A call that is cancelled
    takes its items out of the queue.

    Args:
        compute: Computes a batch of one key; its results do not depend on the batch.
        budget: The sizes of a batch add up to at most this; a larger item is alone in its own.
        capacity: The sizes of all that is accepted and not yet answered add up to at most this;
            see `enter`.
        lanes: How many batches are computed at once.
        on_batch: Called after each batch with its items, their sizes together, and its seconds.
    """

    def __init__(
        self,
        compute: Callable[[Hashable, Sequence[_Item]], Sequence[_Result]],
        *,
        budget: int,
        capacity: int,
        lanes: int = 1,
        on_batch: Callable[[int, int, float], None] = lambda *_: None,
    ) -> None:
        self._compute = compute
        self.budget = budget
        self.capacity = capacity
        self._lanes = lanes
        self._on_batch = on_batch
        self._waiting: dict[_Entry[_Item, _Result], None] = {}  # in the order of their coming
        self._alone: dict[_Entry[_Item, _Result], None] = {}  # of batches that failed
        self._taken = 0
        self._speed = 0.0  # sizes per second, of late
        self._changed = Condition()  # guards what waits
        self._stopped = False
        self._threads: list[Thread] = []

    @property
    def taken(self) -> int:
        """The sizes of all that is accepted and not yet answered."""
        return self._taken

    @property
    def waiting(self) -> int:
        """How many items wait to be computed."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to compute; call it in the event loop."""
        loop = asyncio.get_running_loop()
        self._threads = [
            Thread(target=self._work, args=(loop,), name=f"m3kit-model-{lane}", daemon=True)
            for lane in range(self._lanes)
        ]
        for thread in self._threads:
            thread.start()

    async def stop(self) -> None:
        """End; batches under way are computed to their end, and what waits is given up."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def enter(self, size: int, *, alone: bool = False) -> Place:
        """
        Take room for a call, to be left when its answer is sent.

        Args:
            size: Of all its items.
            alone: Whether a call beyond the capacity is taken while there is no other.

        Raises:
            RequestError: With the status 503 if there is none now, 413 if there never is.
        """
        if size > self.capacity and not alone:
            raise too_large(
                f"the request is of the size {size}, the queue {self.capacity}; split it"
            )
        if self._taken and self._taken + size > self.capacity:
            seconds = self._taken / self._speed if self._speed else 1
            raise overloaded(min(_SECONDS, max(1, round(seconds))), "the queue is full")
        self._taken += size
        return Place(self, size)

    def leave(self, place: Place) -> None:
        """Give the room of a place back; a second call does nothing."""
        self._taken -= place.size
        place.size = 0

    async def compute(
        self, items: Sequence[_Item], sizes: Sequence[int], key: Hashable = None
    ) -> list[_Result]:
        """
        Return the result of each item; take a place first.

        Args:
            items: Of one call.
            sizes: What each counts in a batch.
            key: Items of different keys are not computed together.

        Raises:
            RequestError: With the status 500, if `compute` failed on one of the items.
        """
        if not items:
            return []
        done = asyncio.get_running_loop().create_future()
        job: _Job[_Result] = _Job([None] * len(items), len(items), done)
        pairs = zip(items, sizes, strict=True)
        entries = [_Entry(job, n, item, size, key) for n, (item, size) in enumerate(pairs)]
        with self._changed:
            self._waiting |= dict.fromkeys(entries)
            self._changed.notify_all()
        try:
            await done
        finally:
            if job.missing:  # it was given up, or failed
                with self._changed:
                    for entry in entries:
                        self._waiting.pop(entry, None)
        return job.results  # type: ignore[return-value]  # done, so none is None

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while batch := self._next():
            items, start = [entry.item for entry in batch], time.perf_counter()
            try:
                results = list(zip(batch, self._compute(batch[0].key, items), strict=True))
            except Exception as error:  # noqa: BLE001  # it is raised in the caller
                if len(batch) == 1:
                    loop.call_soon_threadsafe(_fail, batch, error)
                else:  # one at a time, so that each fails by itself
                    with self._changed:
                        self._alone |= dict.fromkeys(batch)
                        self._changed.notify_all()
            else:
                seconds = time.perf_counter() - start
                loop.call_soon_threadsafe(self._deliver, results, seconds)

    def _next(self) -> list[_Entry[_Item, _Result]]:
        """Wait for a batch; it is empty at the end."""
        with self._changed:
            while not self._stopped:
                if batch := self._take():
                    return batch
                self._changed.wait()
        return []

    def _take(self) -> list[_Entry[_Item, _Result]]:
        while self._alone:
            entry, _ = self._alone.popitem()
            if not entry.job.done.done():
                return [entry]
        if not self._waiting:
            return []
        oldest = next(iter(self._waiting))
        near = [entry for entry in islice(self._waiting, _WINDOW) if entry.key == oldest.key]
        near.sort(key=lambda entry: abs(entry.size - oldest.size))
        batch: list[_Entry[_Item, _Result]] = []
        room = self.budget
        for entry in near:
            if batch and entry.size > room:
                break
            batch.append(entry)
            room -= entry.size
        for entry in batch:
            del self._waiting[entry]
        return sorted(batch, key=lambda entry: -entry.size)

    def _deliver(
        self, results: Sequence[tuple[_Entry[_Item, _Result], _Result]], seconds: float
    ) -> None:
        size = sum(entry.size for entry, _ in results)
        speed = size * self._lanes / max(seconds, 1e-6)
        self._speed = 0.9 * self._speed + 0.1 * speed if self._speed else speed
        self._on_batch(len(results), size, seconds)
        for entry, result in results:
            job = entry.job
            job.results[entry.place] = result
            job.missing -= 1
            if not job.missing and not job.done.done():
                job.done.set_result(None)


def _fail(batch: Sequence[_Entry[Any, Any]], error: Exception) -> None:
    log_error("the model failed", error)
    for entry in batch:
        if not entry.job.done.done():
            entry.job.done.set_exception(RequestError(500, "backend", "the model failed"))
            entry.job.done.exception()  # whoever waits for it may have gone
