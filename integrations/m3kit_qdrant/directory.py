"""
A directory with an index: its manifest, its lock, and the space it has left.

    m3kit.json     which engine made the index, its `Manifest`, and the folder of its files
    m3kit.*        what others keep about the index, such as its ledger
    edge/, local/  the engine's own files
    edge.1f2e3d4c/ the same, optimized; or a copy that is being optimized, which is removed when the
                   index is opened and `m3kit.json` does not name it
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from errno import ENOSPC
from pathlib import Path
from secrets import token_hex
from typing import Self

from filelock import FileLock

from m3kit.adapters.forks import hold, let_go
from m3kit.adapters.manifest import IndexRequest, Manifest
from m3kit.adapters.read_only import copy_files, private_folder
from m3kit.index import IndexLockedError, IndexNotFoundError
from m3kit.optimization import Optimization
from m3kit_qdrant.locks import LOCKS, SEVERAL, locked, unwritten
from m3kit_qdrant.manifest_file import NAME, UNFINISHED, EngineName, ManifestFile
from m3kit_qdrant.vectors import rows_of

_SIDECAR = "m3kit"
_CONTENT: dict[EngineName, str] = {"edge": "edge_config.json", "local": "meta.json"}
"""The file that each engine has in its folder, whose name is the engine's."""

_EMPTY = {*LOCKS, *(f"{name}{UNFINISHED}" for name in (NAME, *_CONTENT))}
"""What a process that was killed before there was an index leaves behind."""

_TEMPORARY = "temp_segments"
"""Where Edge builds segments; what a killed process has left there is nobody's."""

_GENERATION = "????????"
"""The hexadecimal digits behind the name of a folder that was optimized; for each build others."""

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
        made_by = engine_in(path)
        if made_by not in {None, engine}:
            raise IndexNotFoundError(
                f"the index in {path} was made by Qdrant's engine {made_by!r}, not {engine!r}; "
                "open it with m3kit.open_index, which knows both"
            )
        new = None if made_by else request.new_manifest(f"{path}")
        check_room(path)
        path.mkdir(parents=True, exist_ok=True)
        lock = locked(path)
        try:
            stored = ManifestFile.read(path)
            manifest = stored.manifest if stored else new or request.new_manifest(f"{path}")
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
        stored = ManifestFile.read(self.path)
        name = engine if stored is None else stored.folder
        folder = self.path / name
        others = [path for path in _data(self.path) if path != folder]
        if folder.exists() and not (folder / _CONTENT[engine]).exists():
            raise damaged(self.path, f"{folder} holds no data of Qdrant's engine {engine!r}")
        if not folder.exists() and others:
            raise damaged(self.path, f"it holds {others[0].name}/ where {name}/ belongs")
        if not folder.exists():
            unfinished = self.path / f"{name}{UNFINISHED}"
            if stored is None:
                shutil.rmtree(unfinished, ignore_errors=True)
                create(unfinished)
                ManifestFile(engine, self.manifest, name).write(self.path)
            elif not unfinished.exists():
                raise damaged(self.path, f"its folder {name}/ is gone")
            unfinished.rename(folder)
        leftovers = [path for path in others if path.name.startswith(engine)]
        for leftover in (*leftovers, folder / _TEMPORARY):
            shutil.rmtree(leftover, ignore_errors=True)
        return folder

    @property
    def optimization(self) -> Optimization | None:
        """What the index's searches may miss."""
        return _read(self.path).optimization

    def new_folder(self, engine: EngineName) -> Path:
        """Return a path for another folder of the engine's, which `adopt` may put in place."""
        return self.path / f"{engine}.{token_hex(len(_GENERATION) // 2)}"

    def adopt(self, folder: Path, optimization: Optimization | None) -> None:
        """Have a folder take the place of the engine's, at once or not at all."""
        stored = replace(_read(self.path), folder=folder.name, optimization=optimization)
        stored.write(self.path)

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
    _read(path)
    with private_folder() as folder:
        with unwritten(path):
            stored = _read(path)
            request.check(stored.manifest, f"the index in {path}")
            if not (path / stored.folder / _CONTENT[stored.engine]).exists():
                raise damaged(path, f"its folder {stored.folder}/ is gone")
            stored.write(folder)
            copy_files(path / stored.folder, folder / stored.folder)
        yield folder


def _read(path: Path) -> ManifestFile:
    stored = ManifestFile.read(path)
    if stored is None:
        engine_in(path)
        raise IndexNotFoundError(f"there is no index at {path}; a reader creates none")
    return stored


def _data(path: Path) -> list[Path]:
    """Return the folders with an engine's files, in use or left over."""
    patterns = (pattern for name in _CONTENT for pattern in (name, f"{name}.{_GENERATION}"))
    return [folder for pattern in patterns for folder in sorted(path.glob(pattern))]


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
    if (stored := ManifestFile.read(path)) is not None:
        return stored.engine
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
    check_free(path, _RESERVE + _GROWTH * nbytes, "the index needs")


def check_free(path: Path, needed: int, purpose: str) -> None:
    """
    Check that a disk has room.

    Args:
        path: A file system's place, which need not exist yet.
        needed: Bytes.
        purpose: What needs them, as a subject and its verb.

    Raises:
        OSError: With `errno.ENOSPC`.
    """
    place = path.absolute()
    existing = next(folder for folder in (place, *place.parents) if folder.exists())
    if (free := shutil.disk_usage(existing).free) < needed:
        raise OSError(
            ENOSPC,
            f"the disk has {free >> 20} MiB free and {purpose} {(needed >> 20) + 1}; nothing "
            "was written: make room, or copy the directory to a larger disk while it is closed",
            str(path),
        )
