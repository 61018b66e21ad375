"""Indexes that close what they opened."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from m3kit.index import open_index


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
    """
    An index that owns its client or files and releases them on `close()`.

    One on a server is pickled as its address, and opened again by it.
    """

    _resources: ExitStack
    _address: str | None = None
    _sidecar: Path | None = None

    def owning(
        self, resources: ExitStack, *, address: str | None = None, sidecar: Path | None = None
    ) -> Self:
        """
        Take over resources from the caller's stack, and return the index.

        Args:
            resources: Closed by `close`.
            address: Where another process may open the index beside this one, with the scheme.
            sidecar: See `m3kit.index.HasSidecar`.
        """
        self._resources = resources.pop_all()
        self._address = address
        self._sidecar = sidecar
        return self

    @property
    def sidecar(self) -> Path | None:
        """Where files about the index may lie; see `m3kit.index.HasSidecar`."""
        return self._sidecar

    def close(self) -> None:
        """Release everything; a second call does nothing."""
        self._resources.close()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._address is None:
            raise not_picklable(self)
        return open_index, (self._address,)


def not_picklable(index: object) -> TypeError:
    """Return the error of an index that another process cannot open beside this one."""
    return TypeError(
        f"{index!r} cannot be pickled or copied: its files or its client belong to this process; "
        "open an index by its address in each process, on a server if they run at a time"
    )
