"""`edge.EdgeShard`, whose failures name the directory, and whose panics are exceptions."""

from __future__ import annotations

from pathlib import Path
from shutil import rmtree
from types import TracebackType
from typing import Any, Self
from weakref import finalize

import qdrant_edge as edge

from m3kit.index import IndexLockedError
from m3kit_qdrant.directory import damaged

_LOCKED = "WouldBlock"


class Shard:
    """
    The binding's shard.

    A failure of the engine within Rust is a `BaseException` there, which passes through
    `except Exception`; here it is a `RuntimeError`.

    Args:
        directory: The index, for messages.
        shard: The shard.
    """

    def __init__(self, directory: Path, shard: edge.EdgeShard) -> None:
        self._guard = _Guard(directory)
        self._shard = shard

    @classmethod
    def load(cls, directory: Path, folder: Path) -> Self:
        """
        Open the shard in a folder.

        Raises:
            IndexNotFoundError: If its files are damaged.
            IndexLockedError: If a process has them open.
        """
        try:
            with _Guard(directory):
                return cls(directory, edge.EdgeShard.load(str(folder)))
        except Exception as error:  # the binding raises no narrower class
            if _LOCKED in str(error):
                raise IndexLockedError(
                    f"the index in {directory} is open in another process, such as one that was "
                    "forked while it was open here; end that one"
                ) from error
            raise damaged(directory, _reason(error)) from error

    def info(self) -> edge.ShardInfo:
        """Describe the shard."""
        return self._shard.info()

    def update(self, operation: edge.UpdateOperation) -> None:
        """Write, delete or index."""
        with self._guard:
            self._shard.update(operation)

    def query_batch(self, requests: edge.QueryBatchRequest) -> Any:
        """Answer several queries."""
        with self._guard:
            return self._shard.query_batch(requests)

    def retrieve(self, keys: Any, **selection: Any) -> list[edge.Record]:
        """Return the points of these keys."""
        with self._guard:
            return self._shard.retrieve(keys, **selection)

    def scroll(self, request: edge.ScrollRequest) -> Any:
        """Return a page of points, and where the next one starts."""
        with self._guard:
            return self._shard.scroll(request)

    def count(self, request: edge.CountRequest) -> int:
        """Count points."""
        with self._guard:
            return self._shard.count(request)

    def flush(self) -> None:
        """Make everything durable."""
        with self._guard:
            self._shard.flush()

    def remove_when_unused(self, folder: Path) -> None:
        """Close it and remove its files once no thread calls it any more."""
        finalize(self, _remove, self._shard, folder)

    def close(self) -> None:
        """Release the files."""
        with self._guard:
            self._shard.close()


def _remove(shard: edge.EdgeShard, folder: Path) -> None:
    shard.close()
    rmtree(folder, ignore_errors=True)


class _Guard:
    """Turns a failure within Rust into a `RuntimeError`; many calls and threads may share it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        if error is None or type(error).__name__ != "PanicException":  # no module exports the class
            return
        raise RuntimeError(
            f"Qdrant Edge failed on the index in {self._directory} ({_reason(error)}); its files "
            "may be damaged: open it again, or restore the directory from a copy"
        ) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return str(error).partition("\n")[0]
