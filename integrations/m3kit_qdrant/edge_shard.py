"""`edge.EdgeShard`, whose failures name the directory, and whose panics are exceptions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from typing import Concatenate, ParamSpec, Self, TypeVar
from weakref import finalize

import qdrant_edge as edge

from m3kit.index import IndexLockedError
from m3kit_qdrant.directory import damaged

_P = ParamSpec("_P")
_T = TypeVar("_T")

_LOCKED = "WouldBlock"


def _call(directory: Path, method: Callable[_P, _T], *args: _P.args, **options: _P.kwargs) -> _T:
    """Call the binding; a failure within Rust, a `BaseException`, becomes a `RuntimeError`."""
    try:
        return method(*args, **options)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # no module exports the class
            raise
        raise RuntimeError(
            f"Qdrant Edge failed on the index in {directory} ({_reason(error)}); its files "
            "may be damaged: open it again, or restore the directory from a copy"
        ) from error


def _of_shard(
    method: Callable[Concatenate[edge.EdgeShard, _P], _T],
) -> Callable[Concatenate[Shard, _P], _T]:
    """Make a method of `Shard` of the binding's."""

    def call(shard: Shard, /, *args: _P.args, **options: _P.kwargs) -> _T:
        return _call(shard.directory, method, shard.shard, *args, **options)

    return call


class Shard:
    """
    The binding's shard, and its methods.

    Args:
        directory: The index, for messages.
        shard: The shard.
    """

    def __init__(self, directory: Path, shard: edge.EdgeShard) -> None:
        self.directory = directory
        self.shard = shard

    @classmethod
    def load(cls, directory: Path, folder: Path) -> Self:
        """
        Open the shard in a folder.

        Raises:
            IndexNotFoundError: If its files are damaged.
            IndexLockedError: If a process has them open.
        """
        try:
            return cls(directory, _call(directory, edge.EdgeShard.load, str(folder)))
        except Exception as error:  # the binding raises no narrower class
            if _LOCKED in str(error):
                raise IndexLockedError(
                    f"the index in {directory} is open in another process, such as one that was "
                    "forked while it was open here; end that one"
                ) from error
            raise damaged(directory, _reason(error)) from error

    info = _of_shard(edge.EdgeShard.info)
    update = _of_shard(edge.EdgeShard.update)
    query_batch = _of_shard(edge.EdgeShard.query_batch)
    retrieve = _of_shard(edge.EdgeShard.retrieve)
    scroll = _of_shard(edge.EdgeShard.scroll)
    count = _of_shard(edge.EdgeShard.count)
    flush = _of_shard(edge.EdgeShard.flush)
    close = _of_shard(edge.EdgeShard.close)

    def remove_when_unused(self, folder: Path) -> None:
        """Close it and remove its files once no thread calls it any more."""
        finalize(self, _remove, self.shard, folder)


def _remove(shard: edge.EdgeShard, folder: Path) -> None:
    shard.close()
    rmtree(folder, ignore_errors=True)


def _reason(error: BaseException) -> str:
    if isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return str(error).partition("\n")[0]
