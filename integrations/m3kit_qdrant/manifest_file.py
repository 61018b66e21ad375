"""The file `m3kit.json` of an index in a directory: which engine made it, and what it holds."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from m3kit.adapters.manifest import Manifest
from m3kit.index import IndexNotFoundError
from m3kit.optimization import Optimization

EngineName: TypeAlias = Literal["edge", "local"]

NAME = "m3kit.json"
UNFINISHED = ".new"
"""What the name of a file or folder ends in that is not whole yet."""


def write(path: Path, stored: Mapping[str, Any]) -> None:
    """Write or replace the file in a directory: at any instant it is the old one or the new one."""
    unfinished = path / f"{NAME}{UNFINISHED}"
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(stored, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path / NAME)


def read(path: Path) -> Mapping[str, Any]:
    """
    Read the file.

    Raises:
        IndexNotFoundError: If it is damaged.
    """
    try:
        stored = json.loads((path / NAME).read_text(encoding="utf-8"))
    except ValueError as error:
        raise IndexNotFoundError(
            f"{path / NAME} is damaged ({error}); restore it from a copy"
        ) from None
    return stored if isinstance(stored, Mapping) else {}


def read_engine(path: Path) -> EngineName:
    """
    Tell which engine made the index.

    Raises:
        IndexNotFoundError: If it is damaged, or names an unknown one.
    """
    match read(path).get("engine"):
        case "edge":
            return "edge"
        case "local":
            return "local"
        case _:
            raise IndexNotFoundError(f"{path / NAME} names no engine that this m3kit knows")


def read_manifest(path: Path, engine: EngineName) -> Manifest:
    """
    Tell what the index holds.

    Raises:
        IndexNotFoundError: If another engine made it, or the file cannot be read.
    """
    if (stored := read_engine(path)) != engine:
        raise IndexNotFoundError(
            f"the index in {path} was made by Qdrant's engine {stored!r}, not {engine!r}; "
            "open it with m3kit.open_index, which knows both"
        )
    return Manifest.from_json(read(path), f"{path / NAME}")


def read_optimization(path: Path) -> Optimization | None:
    """Tell what the index's searches may miss, where it was optimized."""
    stored = read(path).get("optimization")
    return None if stored is None else Optimization.from_json(stored)


def read_folder(path: Path, engine: EngineName) -> str:
    """Return the name of the engine's folder: its own, until an optimized copy took its place."""
    return str(read(path).get("folder", engine))
