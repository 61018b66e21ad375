"""Indexes that are opened to be read: a view that refuses writes, and private copies of files."""

from __future__ import annotations

import atexit
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from os import SEEK_CUR
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import IO, Any

from m3kit.adapters.closing import ClosesOnExit
from m3kit.adapters.forks import in_this_process
from m3kit.filters import Filter
from m3kit.index import HybridIndex, ReadOnlyError, Search, open_index
from m3kit.optimization import Graph, Optimizable, Optimization
from m3kit.records import Hit, Record
from m3kit.vectors import Rep

_CHUNK = 2**16


class ReadOnlyIndex(ClosesOnExit):
    """
    An index that is read and not written.

    Pickled, it is its address, which another process opens to read as well.

    Args:
        index: What is read.
        resources: Closed by `close`, the index among them.
        address: Where it was opened, with the scheme.
    """

    def __init__(self, index: HybridIndex, resources: ExitStack, address: str) -> None:
        self._index = index
        self._resources = resources.pop_all()
        self._address = address

    @property
    def reps(self) -> frozenset[Rep]:
        """See `HybridIndex.reps`."""
        return self._index.reps

    @property
    def model(self) -> str | None:
        """See `HybridIndex.model`."""
        return self._index.model

    @property
    def takes_graph(self) -> bool:
        """See `Optimizable.takes_graph`."""
        return False

    @property
    def optimization(self) -> Optimization | None:
        """See `Optimizable.optimization`."""
        return self._index.optimization if isinstance(self._index, Optimizable) else None

    def optimize(self, _: Graph | None = None, /) -> Optimization | None:
        """Refuse to optimize."""
        raise self._refused()

    def search(self, search: Search, /) -> list[Hit]:
        """See `HybridIndex.search`."""
        return self._index.search(search)

    def get(self, ids: Sequence[str], /, reps: Collection[Rep] = ()) -> list[Record]:
        """See `HybridIndex.get`."""
        return self._index.get(ids, reps)

    def scan(self, where: Filter | None = None, /, reps: Collection[Rep] = ()) -> Iterator[Record]:
        """See `HybridIndex.scan`."""
        return self._index.scan(where, reps)

    def count(self, where: Filter | None = None, /) -> int:
        """See `HybridIndex.count`."""
        return self._index.count(where)

    def upsert(self, _: Sequence[Record], /) -> None:
        """Refuse to write."""
        raise self._refused()

    def delete(self, _: Sequence[str], /) -> None:
        """Refuse to delete."""
        raise self._refused()

    def delete_where(self, _: Filter, /) -> None:
        """Refuse to delete."""
        raise self._refused()

    def flush(self) -> None:
        """Do nothing: nothing was written."""

    def close(self) -> None:
        """Release everything; a second call does nothing."""
        self._resources.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(open_index, self._address, read_only=True), ()

    def __repr__(self) -> str:
        return f"ReadOnlyIndex({self._address!r})"

    def _refused(self) -> ReadOnlyError:
        return ReadOnlyError(
            f"{self._address} was opened with read_only=True; open it without to write"
        )


@contextmanager
def shared_lock(path: Path) -> Iterator[bool]:
    """Share the lock of a file meanwhile, and tell whether it was free, as a missing one is."""
    is_free = True
    with ExitStack() as opened:
        with suppress(FileNotFoundError):
            is_free = try_lock(opened.enter_context(path.open("rb")), exclusive=False)
        yield is_free


def try_lock(file: IO[bytes], *, exclusive: bool) -> bool:
    """Lock a file until it is closed; False if another process has, True always on Windows."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def private_folder() -> Iterator[Path]:
    """Make a temporary folder; it is removed at the end, or with the process that made it."""
    folder = Path(mkdtemp(prefix="m3kit-"))
    remove = in_this_process(partial(rmtree, folder, ignore_errors=True))
    atexit.register(remove)
    try:
        yield folder
    finally:
        atexit.unregister(remove)
        remove()


def copy_files(source: Path, target: Path) -> None:
    """Copy a folder's files, whose pages of zeros take no room, so that they can be written."""
    target.mkdir(parents=True, exist_ok=True)
    for entry in source.iterdir():
        if entry.is_dir():
            copy_files(entry, target / entry.name)
        else:
            _copy(entry, target / entry.name)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as original, target.open("wb") as copy:
        while chunk := original.read(_CHUNK):
            if chunk != bytes(len(chunk)):
                copy.write(chunk)
            else:
                copy.seek(len(chunk), SEEK_CUR)
        copy.truncate()
