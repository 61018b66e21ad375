"""
Optimizing an Edge index while it is used.

1. The files are copied, while writes wait.
2. A process builds the graph over the copy; what is written meanwhile is written to the index as
   ever, and its keys are noted.
3. Those points are read from the index, and written to the copy or deleted from it.
4. While writes wait, the last of them are, and `m3kit.json` comes to name the copy.

The index is the old files until the last step and the new ones after it, so that a process may end
at any instant. What it leaves behind is removed when the index is opened again.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from shutil import rmtree
from subprocess import PIPE, Popen
from threading import Lock
from typing import Any

from m3kit.adapters.read_only import copy_files
from m3kit.optimization import Graph, Optimization
from m3kit_qdrant.directory import Directory, check_free
from m3kit_qdrant.edge_client import EdgeEngine
from m3kit_qdrant.edge_shard import Shard

_ROOM_FACTOR = 2.5
"""
How many bytes of disk a build takes for each of the index: the copy, and what is made of it.

Measured: 2.2 for a million documents, 2.95 for 20,000 with the reserve.
"""

_ROOM_RESERVE = 256 * 2**20

_BLOCK = 512

_FEW = 1_000
"""So many points or fewer are carried over while writes wait."""


class EdgeOptimizer:
    """
    Optimizes an index, once at a time.

    Args:
        directory: Where it is.
        engine: What it is open in.
    """

    def __init__(self, directory: Directory, engine: EdgeEngine) -> None:
        self._directory = directory
        self._engine = engine
        self._lock = Lock()
        self._process: Popen[str] | None = None
        self._cancelled = False

    def optimize(self, graph: Graph) -> Optimization | None:
        """Optimize; see `EdgeIndex.optimize`."""
        if not self._lock.acquire(blocking=False):
            raise ValueError(f"the index in {self._directory.path} is being optimized already")
        try:
            return self._optimize(graph)
        finally:
            self._lock.release()

    def cancel(self) -> None:
        """End an `optimize` of another thread, and wait until it has cleared up."""
        if not self._directory.is_ours:
            return
        self._cancelled = True
        if (process := self._process) is not None:
            process.kill()
        with self._lock:
            self._cancelled = False

    def _optimize(self, graph: Graph) -> Optimization | None:
        folder = self._directory.new_folder("edge")
        try:
            with self._engine.writes:
                self._engine.flush()
                _check_room(self._engine.folder)
                copy_files(self._engine.folder, folder)
                self._engine.writes.start()
            optimization = self._build(folder, graph)
            shard = Shard.load(self._directory.path, folder)
            try:
                self._replace(shard, folder, optimization)
            except BaseException:
                shard.close()
                raise
        except BaseException:
            rmtree(folder, ignore_errors=True)
            raise
        finally:
            self._engine.writes.stop()
        return optimization

    def _replace(self, shard: Shard, folder: Path, optimization: Optimization | None) -> None:
        engine, directory = self._engine, self._directory
        while len(keys := engine.writes.take()) > _FEW:
            engine.carry_over(keys, shard)
        with engine.writes:
            engine.carry_over(keys | engine.writes.take(), shard)
            engine.carry_over_indexes(shard)
            shard.flush()
            self._check_not_cancelled()
            directory.adopt(folder, optimization)
            engine.replace(shard, folder, optimization)

    def _build(self, folder: Path, graph: Graph) -> Optimization | None:
        """
        Have a process build.

        Raises:
            RuntimeError: If it fails.
            ValueError: If the index was closed.
        """
        request = {
            "folder": str(folder),
            "manifest": self._directory.manifest.to_json(),
            "graph": asdict(graph),
            "parent": os.getpid(),
        }
        self._check_not_cancelled()
        command = [sys.executable, "-P", "-m", "m3kit_qdrant.edge_build"]
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with Popen(  # noqa: S603  # our own module
            command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True, env=variables
        ) as process:
            self._process = process
            if self._cancelled:
                process.kill()
            try:
                answer, errors = process.communicate(json.dumps(request))
            except BaseException:
                process.kill()
                raise
            finally:
                self._process = None
        self._check_not_cancelled()
        if process.returncode:
            reason = (errors.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
            raise RuntimeError(
                f"optimizing the index in {self._directory.path} failed ({reason}); the index is "
                "as it was"
            )
        stored: dict[str, Any] | None = json.loads(answer)
        return None if stored is None else Optimization.from_json(stored)

    def _check_not_cancelled(self) -> None:
        if self._cancelled:
            raise ValueError(
                f"the index in {self._directory.path} was closed while it was optimized"
            )


def _check_room(folder: Path) -> None:
    """
    Check that a copy and what is built of it have room on the disk.

    Raises:
        OSError: With `errno.ENOSPC`.
    """
    needed = _ROOM_RESERVE + int(_ROOM_FACTOR * _allocated(folder))
    check_free(folder.parent, needed, "optimizing takes, beside the index,")


def _allocated(folder: Path) -> int:
    """Return how many bytes the files of a folder take; an engine claims more than it has."""
    stats = [path.stat() for path in folder.rglob("*")]
    if hasattr(os.stat_result, "st_blocks"):
        return sum(stat.st_blocks for stat in stats) * _BLOCK
    return sum(stat.st_size for stat in stats)
