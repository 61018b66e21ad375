"""
Who may use a directory: one process that writes, or readers that copy it.

    .lock         locked while the index is open
    .opening      locked while it is being opened, or copied by a reader
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES
from pathlib import Path

from filelock import FileLock, Timeout

from m3kit.adapters.read_only import shared_lock
from m3kit.index import IndexLockedError

LOCKS = (".lock", ".opening")
"""The files."""

SEVERAL = (
    "several processes can read an index that none writes, by open_index(…, read_only=True), and "
    "can share one on a server: qdrant://localhost:6333/papers"
)

_PATIENCE_S = 600
"""How long an index may take to be opened or copied by others, who come first."""


def locked(path: Path) -> FileLock:
    """
    Lock a directory.

    Raises:
        IndexLockedError: If it is locked already.
    """
    with _opening(path):
        return _lock(path)


@contextmanager
def unwritten(path: Path) -> Iterator[None]:
    """
    Have nobody open a directory meanwhile; other readers wait for their turn.

    Raises:
        IndexLockedError: If it is open.
    """
    if os.access(path, os.W_OK):
        with _opening(path), _lock(path):
            yield
    elif os.name == "nt":
        raise PermissionError(EACCES, "it may not be written, and cannot be locked", path)
    else:
        with shared_lock(path / LOCKS[0]) as is_free:
            if not is_free:
                raise _open_already(path)
            yield


def _opening(path: Path) -> FileLock:
    return FileLock(path / LOCKS[1], timeout=_PATIENCE_S)


def _lock(path: Path) -> FileLock:
    # Any thread may close the index, so the lock is the object's and not the thread's.
    lock = FileLock(path / LOCKS[0], timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise _open_already(path) from None
    return lock


def _open_already(path: Path) -> IndexLockedError:
    return IndexLockedError(
        f"the index in {path} is open already, in another process or in this one; close it there, "
        f"or share one index between threads ({SEVERAL})"
    )
