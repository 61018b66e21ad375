"""Milvus Lite 3's files: what a killed process leaves in them, and why they do not open."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from m3kit.adapters.read_only import copy_files, private_folder, shared_lock, try_lock
from m3kit.index import IndexLockedError, IndexNotFoundError

_COLLECTIONS, _LOCK = "collections", "LOCK"
_SCHEMA, _MANIFEST = "schema.json", "manifest.json"
_LOGS = "wal/wal_*_*.arrow"
_MARK = "m3kit.open"
_INDEXES = "partitions/*/indexes/*idx"
"""What Milvus Lite builds from its data where it is missing."""

logging.getLogger("milvus_lite").addHandler(logging.NullHandler())
"""What its threads log is for the program's log, where that has one, and not for stderr."""


def server_manager() -> Any:
    """Return what serves files in this process."""
    from milvus_lite.server_manager import server_manager_instance

    return server_manager_instance


def repair(file: Path, *, unloadable: bool = False) -> bool:
    """
    Remove what a killed process has left, and Milvus Lite stumbles over, unless the file is in use.

    That is collections that were begun: without a schema, with no data. Logs of writes that a flush
    has stored, which would be there twice. And vector indexes, which it writes in place: half of
    one keeps a collection from loading, and a missing one is built.

    Args:
        file: The file, which is a folder.
        unloadable: Whether an index is known to be damaged, though its process has ended in order.

    Returns:
        Whether there was anything.
    """
    was_killed = (file / _MARK).exists()
    stale = [
        *_begun(file),
        *_stored_logs(file),
        *(file.glob(f"{_COLLECTIONS}/*/{_INDEXES}") if was_killed or unloadable else ()),
    ]
    if not stale or _is_locked(file):
        return False
    for path in stale:
        path.rmdir() if path.is_dir() else path.unlink()
    (file / _MARK).unlink(missing_ok=True)
    return True


def _begun(file: Path) -> Iterator[Path]:
    """Yield the files, and then the folder, of each collection whose creation was interrupted."""
    for folder in file.glob(f"{_COLLECTIONS}/*"):
        if folder.is_dir() and not (folder / _SCHEMA).exists():
            entries = list(folder.iterdir())
            if all(entry.is_file() and entry.name.startswith(_SCHEMA) for entry in entries):
                yield from entries
                yield folder


def _stored_logs(file: Path) -> Iterator[Path]:
    """Yield the logs older than the active one, which a manifest names when it has their rows."""
    for manifest in file.glob(f"{_COLLECTIONS}/*/{_MANIFEST}"):
        with suppress(ValueError, TypeError, KeyError):  # of a manifest that Milvus Lite judges
            active = int(json.loads(manifest.read_bytes())["active_wal_number"])
            for log in manifest.parent.glob(_LOGS):
                if int(log.stem.rpartition("_")[2]) < active:
                    yield log


def mark_open(file: Path) -> None:
    """Note that a process has a file open, until `mark_closed`."""
    if file.is_dir():  # Milvus Lite 2.5 has a plain file
        (file / _MARK).touch()


def mark_closed(file: Path) -> None:
    """Note that a file was closed in order."""
    if file.is_dir():
        (file / _MARK).unlink(missing_ok=True)


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
