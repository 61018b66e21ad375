"""
A directory that holds an index: its manifest, its lock, and the room it has left.

    m3kit.json    which engine made the index, and its `Manifest`
    .lock         held while it is open
    edge/, local/ the engine's own files
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path
from shutil import disk_usage, rmtree
from typing import Literal, Self, TypeAlias

from filelock import FileLock, Timeout

from m3kit.adapters.manifest import Manifest
from m3kit.adapters.storage import ColbertStorage
from m3kit.index import IndexLockedError, IndexNotFoundError
from m3kit.vectors import Rep
from m3kit_qdrant.coding import coding

EngineName: TypeAlias = Literal["edge", "local"]

_STAMP = "m3kit.json"
_LOCK = ".lock"
_UNFINISHED = ".new"
_EMPTY = {_LOCK, f"{_STAMP}{_UNFINISHED}"}
"""What a process that was killed at its very first step leaves behind."""

_RESERVE = 32 * 2**20
"""What stays free for the engine's tables and logs."""

_GROWTH = 4
"""How many bytes of disk a byte of vectors or payload may take: stored, and in the log."""


@dataclass(frozen=True, slots=True)
class Directory:
    """
    A directory that this process holds, until `release`.

    Args:
        path: Where it is.
        manifest: What the index in it says of itself.
    """

    path: Path
    manifest: Manifest
    _lock: FileLock

    @classmethod
    def hold(
        cls,
        path: Path,
        engine: EngineName,
        *,
        dim: int | None,
        reps: Collection[Rep],
        model: str | None,
        colbert: ColbertStorage | None = None,
    ) -> Self:
        """
        Lock a directory, and manifest it if it is new or empty.

        Raises:
            IndexNotFoundError: If it holds something else, or nothing and `dim` is None.
            ModelMismatchError: If it was made by another model, with another width, or keeps
                ColBERT otherwise.
            RepresentationError: If Qdrant cannot keep ColBERT vectors so.
            IndexLockedError: If it is held already.
            OSError: If its disk is full.
        """
        if colbert is not None:
            coding(colbert)
        what = f"{path}"
        new = None if engine_in(path) else Manifest.new(dim, reps, model, what, colbert=colbert)
        check_room(path)
        path.mkdir(parents=True, exist_ok=True)
        lock = _locked(path)
        try:
            if new is not None and not (path / _STAMP).exists():
                _write_stamp(path, engine, new)
            manifest = _read_stamp(path, engine)
            manifest.check(dim, model, f"the index in {path}", colbert=colbert)
        except BaseException:
            lock.release()
            raise
        return cls(path, manifest, lock)

    def made(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return the folder `name` in it, which `make` makes at once or not at all."""
        whole = self.path / name
        if not whole.exists():
            unfinished = self.path / f"{name}{_UNFINISHED}"
            rmtree(unfinished, ignore_errors=True)
            make(unfinished)
            unfinished.rename(whole)
        return whole

    def release(self) -> None:
        """Let go of it."""
        self._lock.release()


def engine_in(path: Path) -> EngineName | None:
    """
    Tell which engine made the index in a directory, or None where an index may be made.

    Raises:
        IndexNotFoundError: If something else is there, which is left alone.
    """
    if (path / _STAMP).exists():
        return _read_engine(path)
    if path.exists() and (not path.is_dir() or {one.name for one in path.iterdir()} - _EMPTY):
        raise IndexNotFoundError(
            f"{path} is there and holds no index; give one that does, or a new or empty directory"
        )
    return None


def check_room(path: Path, nbytes: int = 0) -> None:
    """
    Refuse to write onto a disk that is nearly full: an engine whose files cannot grow is killed.

    Args:
        path: A file system's place, which need not exist yet.
        nbytes: How much is to be written.

    Raises:
        OSError: With `errno.ENOSPC`.
    """
    there = next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())
    needed = _RESERVE + _GROWTH * nbytes
    if (free := disk_usage(there).free) < needed:
        raise OSError(
            ENOSPC,
            f"the disk has {free >> 20} MiB free and the index needs {(needed >> 20) + 1}; nothing "
            "was written: make room, or copy the directory to a larger disk while it is closed",
            str(path),
        )


def _locked(path: Path) -> FileLock:
    # Any thread may close the index, so the lock is the object's and not the thread's.
    lock = FileLock(path / _LOCK, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise IndexLockedError(
            f"the index in {path} is open already, in another process or in this one; close it "
            "there, or share one index between threads"
        ) from None
    return lock


def _write_stamp(path: Path, engine: EngineName, manifest: Manifest) -> None:
    unfinished = path / f"{_STAMP}{_UNFINISHED}"
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump({"engine": engine, **manifest.to_json()}, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path / _STAMP)


def _read_stamp(path: Path, engine: EngineName) -> Manifest:
    if (kept := _read_engine(path)) != engine:
        raise IndexNotFoundError(
            f"the index in {path} was made by Qdrant's engine {kept!r}, not {engine!r}; "
            "open it with m3kit.open_index, which knows both"
        )
    return Manifest.from_json(_read(path), f"{path / _STAMP}")


def _read_engine(path: Path) -> EngineName:
    match _read(path):
        case {"engine": "edge"}:
            return "edge"
        case {"engine": "local"}:
            return "local"
        case _:
            raise IndexNotFoundError(f"{path / _STAMP} names no engine that this m3kit knows")


def _read(path: Path) -> object:
    try:
        return json.loads((path / _STAMP).read_text(encoding="utf-8"))
    except ValueError as error:
        raise IndexNotFoundError(
            f"{path / _STAMP} is damaged ({error}); restore it from a copy"
        ) from None
