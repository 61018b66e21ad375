"""Files with holes, which an engine claims for what it is going to write: copied as such."""

from __future__ import annotations

import os
import shutil
from errno import ENXIO
from pathlib import Path

_STEP = 16 * 2**20
_BLOCK = 512


def allocated(folder: Path) -> int:
    """Return how many bytes the files of a folder take on the disk."""
    stats = [path.stat() for path in folder.rglob("*")]
    return sum(
        stat.st_blocks * _BLOCK if hasattr(stat, "st_blocks") else stat.st_size for stat in stats
    )


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder, and leave holes where its files have them."""
    shutil.copytree(source, target, copy_function=_copy_file)


def _copy_file(source: str, target: str) -> None:
    if not hasattr(os, "SEEK_DATA"):
        shutil.copyfile(source, target)
        return
    with Path(source).open("rb") as reader, Path(target).open("wb") as writer:
        size = os.fstat(reader.fileno()).st_size
        writer.truncate(size)
        position = 0
        while position < size:
            try:
                position = os.lseek(reader.fileno(), position, os.SEEK_DATA)
            except OSError as error:
                if error.errno == ENXIO:  # a hole is all that follows
                    return
                raise
            end = os.lseek(reader.fileno(), position, os.SEEK_HOLE)
            reader.seek(position)
            writer.seek(position)
            while position < end:
                chunk = reader.read(min(_STEP, end - position))
                writer.write(chunk)
                position += len(chunk)
