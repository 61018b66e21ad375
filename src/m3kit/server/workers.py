"""Threads for what would hold the event loop up, no more of them than there may be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from m3kit.server.errors import overloaded

_T = TypeVar("_T")


class Workers:
    """
    A pool of threads whose queue is bounded.

    A thread cannot be stopped: a call that is given up runs to its end, and counts until then.

    Args:
        threads: How many.
        queued: How many calls may wait for one.
    """

    def __init__(self, threads: int, *, queued: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="m3kit-server")
        self._room = threads + queued
        self._taken = 0

    async def run(self, function: Callable[[], _T]) -> _T:
        """
        Call a function in a thread.

        Raises:
            RequestError: With the status 503, if too many wait.
        """
        if self._taken >= self._room:
            raise overloaded(1, "too many requests wait for a thread")
        loop = asyncio.get_running_loop()
        self._taken += 1
        try:
            future = self._pool.submit(function)
        except RuntimeError:
            self._taken -= 1
            raise
        future.add_done_callback(lambda done: self._ended(loop, done))
        return await asyncio.wrap_future(future)

    async def stop(self) -> None:
        """Wait for what runs."""
        await asyncio.to_thread(self._pool.shutdown)

    def _ended(self, loop: asyncio.AbstractEventLoop, _: Future[_T]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        self._taken -= 1
