"""`edge.EdgeShard`, whose failures name the directory, and whose panics are exceptions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Concatenate, ParamSpec, Self, TypeVar
from weakref import finalize

import qdrant_edge as edge

from m3kit.adapters.forks import in_this_process, never_drop
from m3kit.index import IndexLockedError
from m3kit_qdrant.directory import damaged

_P = ParamSpec("_P")
_T = TypeVar("_T")

_LOCKED = "WouldBlock"


def _of_shard(
    method: Callable[Concatenate[edge.EdgeShard, _P], _T],
) -> Callable[Concatenate[Shard, _P], _T]:
    """Make a method of `Shard` of the binding's."""

    def call(shard: Shard, /, *args: _P.args, **options: _P.kwargs) -> _T:
        try:
            return method(shard.shard, *args, **options)
        except BaseException as error:
            if not _is_panic(error):
                raise
            raise RuntimeError(
                f"Qdrant Edge failed on the index in {shard.directory} ({_reason(error)}); its "
                "files may be damaged: open it again, or restore the directory from a copy"
            ) from error

    return call


class Shard:
    """
    The binding's shard, and its methods.

    The binding's writes to its files when it is dropped, so that a forked process never drops it.

    Args:
        directory: The index, for messages.
        shard: The shard.
    """

    def __init__(self, directory: Path, shard: edge.EdgeShard) -> None:
        self.directory = directory
        self.shard = shard
        never_drop(self)

    @classmethod
    def load(cls, directory: Path, folder: Path) -> Self:
        """
        Open the shard in a folder.

        Raises:
            IndexNotFoundError: If its files are damaged.
            IndexLockedError: If a process has them open.
        """
        try:
            return cls(directory, edge.EdgeShard.load(str(folder)))
        except BaseException as error:
            if not isinstance(error, Exception) and not _is_panic(error):
                raise
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
        finalize(self, in_this_process(partial(_remove, self.shard, folder)))


def _remove(shard: edge.EdgeShard, folder: Path) -> None:
    shard.close()
    rmtree(folder, ignore_errors=True)


def _is_panic(error: BaseException) -> bool:
    """Tell a failure within Rust, which is no `Exception`, and whose class no module exports."""
    return type(error).__name__ == "PanicException"


def _reason(error: BaseException) -> str:
    return str(error).partition("\n")[0]
