"""
A directory with an index: its manifest, its lock, and the space it has left.

    m3kit.json    which engine made the index, and its `Manifest`
    m3kit.*       what others keep about the index, such as its ledger
    edge/, local/ the engine's own files
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import ENOSPC
from pathlib import Path
from typing import Literal, Self, TypeAlias

from filelock import FileLock

from m3kit.adapters.forks import hold, let_go
from m3kit.adapters.manifest import IndexRequest, Manifest
from m3kit.adapters.read_only import copy_files, private_folder
from m3kit.index import IndexLockedError, IndexNotFoundError
from m3kit_qdrant.locks import LOCKS, SEVERAL, locked, unwritten
from m3kit_qdrant.vectors import rows_of

EngineName: TypeAlias = Literal["edge", "local"]

_MANIFEST = "m3kit.json"
_SIDECAR = "m3kit"
_UNFINISHED = ".new"
_CONTENT: dict[EngineName, str] = {"edge": "edge_config.json", "local": "meta.json"}
"""The file that each engine has in its folder, whose name is the engine's."""

_EMPTY = {*LOCKS, *(f"{name}{_UNFINISHED}" for name in (_MANIFEST, *_CONTENT))}
"""What a process that was killed before there was an index leaves behind."""

_RESERVE = 32 * 2**20
"""What stays free for the engine's tables and logs."""

_GROWTH = 4
"""How many bytes of disk a byte of vectors or payload may take: stored, and in the log."""


@dataclass(frozen=True, slots=True, eq=False)
class Directory:
    """
    A directory that this process has locked, until `release`.

    A process that is forked meanwhile does not hold the lock, and can only be told so.

    Args:
        path: Where it is.
        manifest: What the index in it holds.
    """

    path: Path
    manifest: Manifest
    _lock: FileLock
    _pid: int = field(default_factory=os.getpid)

    @classmethod
    def lock(cls, path: Path, engine: EngineName, request: IndexRequest) -> Self:
        """
        Lock a directory, whose manifest `folder` writes if it is new or empty.

        Raises:
            IndexNotFoundError: If it holds something else, or nothing and there is no `dim`.
            ModelMismatchError: If it was made by another model, with another width, or stores
                ColBERT otherwise.
            RepresentationError: If Qdrant cannot store ColBERT vectors so.
            IndexLockedError: If it is locked already.
            OSError: If its disk is full.
        """
        if request.colbert is not None:
            rows_of(request.colbert)
        new = None if engine_in(path) else request.new_manifest(f"{path}")
        check_room(path)
        path.mkdir(parents=True, exist_ok=True)
        lock = locked(path)
        try:
            is_new = new is not None and not (path / _MANIFEST).exists()
            manifest = new if new is not None and is_new else _read_manifest(path, engine)
            request.check(manifest, f"the index in {path}")
        except BaseException:
            lock.release()
            raise
        directory = cls(path.absolute(), manifest, lock)
        hold(directory.path)
        return directory

    def folder(self, engine: EngineName, create: Callable[[Path], None]) -> Path:
        """
        Return the engine's folder in it, which `create` creates at once or not at all.

        A manifest is written between the two steps, so that one without a folder, finished or
        unfinished, has lost it.

        Raises:
            IndexNotFoundError: If it holds something else, another engine's, or nothing any more.
        """
        folder = self.path / engine
        others = [name for name in _CONTENT if name != engine and (self.path / name).exists()]
        if folder.exists() and not (folder / _CONTENT[engine]).exists():
            raise damaged(self.path, f"{folder} holds no data of Qdrant's engine {engine!r}")
        if not folder.exists() and others:
            raise damaged(self.path, f"it holds {others[0]}/ where {engine}/ belongs")
        if not folder.exists():
            unfinished = self.path / f"{engine}{_UNFINISHED}"
            if not (self.path / _MANIFEST).exists():
                shutil.rmtree(unfinished, ignore_errors=True)
                create(unfinished)
                _write_manifest(self.path, engine, self.manifest)
            elif not unfinished.exists():
                raise damaged(self.path, f"its folder {engine}/ is gone")
            unfinished.rename(folder)
        return folder

    def release(self) -> None:
        """Unlock it; in a forked process do nothing."""
        if self.is_ours and self._lock.is_locked:
            let_go(self.path)
            self._lock.release()

    @property
    def sidecar(self) -> Path:
        """What the names of files about the index begin with; see `m3kit.index.HasSidecar`."""
        return self.path / _SIDECAR

    @property
    def is_ours(self) -> bool:
        """Whether this process has locked it, and not one that it was forked from."""
        return self._pid == os.getpid()

    def check_process(self) -> None:
        """
        Check that this process has locked it.

        Raises:
            IndexLockedError: If it was forked from the one that has.
        """
        if not self.is_ours:
            raise IndexLockedError(
                f"the index in {self.path} was opened before this process was forked, by process "
                f"{self._pid}; open it after the fork, in one process ({SEVERAL})"
            )


@contextmanager
def copied(path: Path, request: IndexRequest) -> Iterator[Path]:
    """
    Copy a directory into a private one, to be read whatever happens to it.

    Raises:
        IndexNotFoundError: If there is no index.
        ModelMismatchError: If it was made by another model.
        IndexLockedError: If it is open.
    """
    engine = engine_in(path)
    if engine is None:
        raise IndexNotFoundError(f"there is no index at {path}; a reader creates none")
    with private_folder() as folder:
        with unwritten(path):
            request.check(_read_manifest(path, engine), f"the index in {path}")
            if not (path / engine / _CONTENT[engine]).exists():
                raise damaged(path, f"its folder {engine}/ is gone")
            shutil.copyfile(path / _MANIFEST, folder / _MANIFEST)
            copy_files(path / engine, folder / engine)
        yield folder


def damaged(path: Path, reason: str) -> IndexNotFoundError:
    """Return the error of an index whose files cannot be read."""
    return IndexNotFoundError(
        f"the index in {path} is damaged ({reason}); restore the directory from a copy, or remove "
        "it and index the documents again"
    )


def engine_in(path: Path) -> EngineName | None:
    """
    Tell which engine made the index in a directory, or None where an index may be made.

    Raises:
        IndexNotFoundError: If something else is there, which is left alone.
    """
    if (path / _MANIFEST).exists():
        return _read_engine(path)
    if path.exists() and (not path.is_dir() or {entry.name for entry in path.iterdir()} - _EMPTY):
        raise IndexNotFoundError(
            f"{path} exists and holds no index; give one that does, or a new or empty directory"
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
    place = path.absolute()
    existing = next(folder for folder in (place, *place.parents) if folder.exists())
    needed = _RESERVE + _GROWTH * nbytes
    if (free := shutil.disk_usage(existing).free) < needed:
        raise OSError(
            ENOSPC,
            f"the disk has {free >> 20} MiB free and the index needs {(needed >> 20) + 1}; nothing "
            "was written: make room, or copy the directory to a larger disk while it is closed",
            str(path),
        )


def _write_manifest(path: Path, engine: EngineName, manifest: Manifest) -> None:
    unfinished = path / f"{_MANIFEST}{_UNFINISHED}"
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump({"engine": engine, **manifest.to_json()}, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path / _MANIFEST)


def _read_manifest(path: Path, engine: EngineName) -> Manifest:
    if (stored := _read_engine(path)) != engine:
        raise IndexNotFoundError(
            f"the index in {path} was made by Qdrant's engine {stored!r}, not {engine!r}; "
            "open it with m3kit.open_index, which knows both"
        )
    return Manifest.from_json(_read(path), f"{path / _MANIFEST}")


def _read_engine(path: Path) -> EngineName:
    match _read(path):
        case {"engine": "edge"}:
            return "edge"
        case {"engine": "local"}:
            return "local"
        case _:
            raise IndexNotFoundError(f"{path / _MANIFEST} names no engine that this m3kit knows")


def _read(path: Path) -> object:
    try:
        return json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
    except ValueError as error:
        raise IndexNotFoundError(
            f"{path / _MANIFEST} is damaged ({error}); restore it from a copy"
        ) from None
