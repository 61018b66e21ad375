"""Milvus Lite 3's files: what a killed process leaves in them, and why they do not open."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from m3kit.adapters.read_only import copy_files, private_folder
from m3kit.index import IndexLockedError, IndexNotFoundError

_COLLECTIONS, _LOCK, _LOG = "collections", "LOCK", "wal"
_SCHEMA = "schema.json"


def server_manager() -> Any:
    """Return what serves files in this process."""
    from milvus_lite.server_manager import server_manager_instance

    return server_manager_instance


def repair(file: Path) -> None:
    """
    Remove collections that a killed process began to create: without a schema, with no data.

    Milvus Lite would neither open nor create them. Nothing is done if the file is in use.
    """
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
        with _unwritten(file):
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
    descriptor = os.open(file / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        return not _lock(descriptor, exclusive=True)
    finally:
        os.close(descriptor)


@contextmanager
def _unwritten(file: Path) -> Iterator[None]:
    """Have nobody open a file meanwhile, which readers may do together."""
    try:
        descriptor = os.open(file / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # nobody has opened it where it lies
        yield
        return
    try:
        if not _lock(descriptor, exclusive=False):
            raise _open_elsewhere(file)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, exclusive: bool) -> bool:
    """Lock a file until it is closed; False if another process has."""
    try:
        import fcntl
    except ImportError:  # on Windows
        return True
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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
