"""Milvus Lite 3's files: what a killed process leaves in them, and why they do not open."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from m3kit.adapters.read_only import copy_files, private_folder, shared_lock, try_lock
from m3kit.index import IndexLockedError, IndexNotFoundError

_COLLECTIONS, _LOCK, _LOG = "collections", "LOCK", "wal"
_SCHEMA = "schema.json"
_MARK = "m3kit.open"
_INDEXES = "partitions/*/indexes/*idx"
"""What Milvus Lite builds from its data where it is missing."""


def server_manager() -> Any:
    """Return what serves files in this process."""
    from milvus_lite.server_manager import server_manager_instance

    return server_manager_instance


def repair(file: Path) -> None:
    """
    Remove what a killed process has left, and Milvus Lite stumbles over, unless the file is in use.

    That is collections that were begun: without a schema, with no data. And vector indexes, which
    it writes in place: half of one keeps a collection from loading, and a missing one is built.
    """
    if (file / _MARK).exists() and not _is_locked(file):
        for path in (file / _COLLECTIONS).glob(f"*/{_INDEXES}"):
            path.unlink()
        (file / _MARK).unlink()
    begun = [
        folder
        for folder in (file / _COLLECTIONS).glob("*")
        if folder.is_dir() and not (folder / _SCHEMA).exists()
    ]
    if not begun or _is_locked(file):
        return
    for folder in begun:
        entries = list(folder.iterdir())
        if all(entry.is_file() and entry.name.startswith(_SCHEMA) for entry in entries):
            for entry in entries:
                entry.unlink()
            folder.rmdir()


def mark_open(file: Path) -> None:
    """Note that a process has a file open, until `mark_closed`."""
    if file.is_dir():  # Milvus Lite 2.5 has a plain file
        (file / _MARK).touch()


def mark_closed(file: Path) -> None:
    """Note that a file was closed in order."""
    if file.is_dir():
        (file / _MARK).unlink(missing_ok=True)


def has_log(file: Path, collection: str) -> bool:
    """Tell whether writes to a collection are only in its log, as after a kill."""
    return any((file / _COLLECTIONS / collection / _LOG).glob("*.arrow"))


@contextmanager
def copied(file: Path) -> Iterator[Path]:
    """
    Copy a file into a private folder, to be read whatever happens to it.

    Raises:
        IndexLockedError: If a process has it open.
    """
    with private_folder() as folder:
        with shared_lock(file / _LOCK) as is_free:
            if not is_free:
                raise _open_elsewhere(file)
            copy_files(file, folder / file.name)
        yield folder / file.name


def why_not(file: Path) -> Exception:
    """Find out why Milvus Lite does not open a file, and return an error of one line."""
    try:
        if file.exists() and not file.is_dir():
            return IndexNotFoundError(
                f"Milvus Lite cannot open {file}: it is no directory, which Milvus Lite 3 makes; "
                "give another address, or open it by the version that made it"
            )
        file.mkdir(parents=True, exist_ok=True)
        if _is_locked(file):
            return _open_elsewhere(file)
    except OSError as error:
        return OSError(
            error.errno, f"Milvus Lite cannot open it ({error.strerror})", f"{error.filename}"
        )
    return IndexNotFoundError(
        f"Milvus Lite cannot open {file}: its files are damaged, or those of another version; "
        "restore them from a copy, or give another address"
    )


def _open_elsewhere(file: Path) -> IndexLockedError:
    return IndexLockedError(
        f"Milvus Lite cannot open {file}: another process holds it; close it there, read what none "
        "writes by open_index(…, read_only=True), or share a server "
        "(milvus://localhost:19530/papers)"
    )


def _is_locked(file: Path) -> bool:
    """Tell whether a process has a file open, this one included."""
    (file / _LOCK).touch()
    with (file / _LOCK).open("r+b") as lock:
        return not try_lock(lock, exclusive=True)


def _leave_to_parent() -> None:
    """Have a forked process stop no server at its end, whose files its parent goes on to write."""
    module = sys.modules.get("milvus_lite.server_manager")
    with suppress(AttributeError):  # of Milvus Lite 2.5, whose server is a process
        manager: Any = module.server_manager_instance if module else None
        _inherited.append(manager._servers)  # noqa: SLF001  # no public way
        manager._servers = {}  # noqa: SLF001


_inherited: list[object] = []
"""Servers of the parent: to collect them would stop them, and wait for their threads."""

if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_leave_to_parent)
