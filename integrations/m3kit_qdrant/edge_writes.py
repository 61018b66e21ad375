"""The writes of an Edge index: one at a time, and noted while a copy of it is optimized."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import RLock
from types import TracebackType

from m3kit_qdrant.engine import Key


class Writes:
    """A lock around every write; who holds it, writes or sees to it that no other does."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._noted: set[Key] | None = None

    @contextmanager
    def unless_busy(self) -> Iterator[bool]:
        """Lock if no other thread has, and tell whether that was so."""
        locked = self._lock.acquire(blocking=False)
        try:
            yield locked
        finally:
            if locked:
                self._lock.release()

    def note(self, keys: Callable[[], Iterable[Key]]) -> None:
        """Note which points are about to be written or deleted, where that is wanted."""
        if self._noted is not None:
            self._noted.update(keys())

    def start(self) -> None:
        """Note from now on."""
        self._noted = set()

    def take(self) -> set[Key]:
        """Return what was noted since the last call."""
        with self:
            noted, self._noted = self._noted or set(), set()
        return noted

    def stop(self) -> None:
        """Note no more."""
        self._noted = None

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        self._lock.release()
