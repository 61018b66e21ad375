"""Indexes that close what they opened."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self


class ClosesOnExit:
    """Makes a context manager of a class with a `close`."""

    def close(self) -> None:
        """Release everything; a second call does nothing."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        self.close()


class OwnsResources(ClosesOnExit):
    """An index that owns its client or files and releases them on `close()`."""

    _resources: ExitStack

    def owning(self, resources: ExitStack) -> Self:
        """Take over resources from the caller's stack, and return the index."""
        self._resources = resources.pop_all()
        return self

    def close(self) -> None:
        """Release everything; a second call does nothing."""
        self._resources.close()
