"""The file `m3kit.json` of an index in a directory: which engine made it, and what it holds."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from m3kit.adapters.manifest import Manifest
from m3kit.index import IndexNotFoundError
from m3kit.optimization import Optimization

EngineName: TypeAlias = Literal["edge", "local"]

NAME = "m3kit.json"
UNFINISHED = ".new"
"""What the name of a file or folder ends in that is not whole yet."""


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """
    What the file says.

    Args:
        engine: Which engine made the index.
        manifest: What it holds.
        folder: The name of the engine's folder: its own, until an optimized copy took its place.
        optimization: What searches may miss, where the index was optimized.
    """

    engine: EngineName
    manifest: Manifest
    folder: str
    optimization: Optimization | None = None

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """
        Read the file of a directory, if there is one.

        Raises:
            IndexNotFoundError: If it is damaged, or of another engine or format.
        """
        file = path / NAME
        if not file.exists():
            return None
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise IndexNotFoundError(
                f"{file} is damaged ({error}); restore it from a copy"
            ) from None
        engine = stored.get("engine") if isinstance(stored, dict) else None
        if engine not in {"edge", "local"}:
            raise IndexNotFoundError(f"{file} names no engine that this m3kit knows")
        manifest, optimization = Manifest.from_json(stored, f"{file}"), stored.get("optimization")
        return cls(
            engine,
            manifest,
            str(stored.get("folder", engine)),
            None if optimization is None else Optimization.from_json(optimization),
        )

    def write(self, path: Path) -> None:
        """Write or replace the file: at any instant it is the old one or the new one."""
        stored: dict[str, Any] = {"engine": self.engine, **self.manifest.to_json()}
        if self.folder != self.engine:
            stored["folder"] = self.folder
        if self.optimization is not None:
            stored["optimization"] = self.optimization.to_json()
        unfinished = path / f"{NAME}{UNFINISHED}"
        with unfinished.open("w", encoding="utf-8") as file:
            json.dump(stored, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path / NAME)
