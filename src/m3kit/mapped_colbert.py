"""
ColBERT vectors of many documents in a folder, scored block by block without being loaded.

    with StackedWriter("./colbert", dim=1024) as writer:
        for output in outputs:
            writer.add(output.colbert)
    scores = maxsim(query.colbert, open_stacked("./colbert"))      # shape (documents,)

The system maps the file: what is scored is read from it once, and its memory is the system's cache,
which others may have when they need it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, get_args

import numpy as np

from m3kit._files import replace_text
from m3kit.adapters.storage import INT8_SCALE, ColbertStorage
from m3kit.scoring import PADDING, Stacked
from m3kit.vectors import Floats

StackedType: TypeAlias = Literal["float32", "float16", "int8"]
"""The number in which a dimension is stored; see `ColbertStorage`."""

_TOKENS, _STARTS, _MANIFEST = "tokens.bin", "starts.bin", "stacked.json"


class StackedWriter:
    """
    Writes the vectors of documents, one after the other; the folder is whole when it is closed.

    Args:
        path: A folder that does not exist yet, or is empty.
        dim: The width of the vectors.
        dtype: How a dimension is stored.

    Raises:
        FileExistsError: If something is there.
        ValueError: If there is no such type.
    """

    def __init__(
        self, path: str | os.PathLike[str], dim: int, dtype: StackedType = "float16"
    ) -> None:
        if dtype not in get_args(StackedType):
            raise ValueError(
                f"vectors are stored as {', '.join(get_args(StackedType))}, not {dtype!r}"
            )
        self._path = Path(path)
        self._path.mkdir(parents=True, exist_ok=True)
        if any(self._path.iterdir()):
            raise FileExistsError(f"{path} is not empty; give a new folder")
        self._dim, self._dtype = dim, dtype
        self._storage = ColbertStorage(dtype)
        self._documents = self._total = 0
        self._tokens = (self._path / _TOKENS).open("wb")
        self._starts = (self._path / _STARTS).open("wb")

    def add(self, colbert: Floats) -> None:
        """
        Write the vectors of the next document.

        Args:
            colbert: Unit rows, shape `(tokens, dim)`, at least one.

        Raises:
            ValueError: If they have another shape.
        """
        if colbert.ndim != 2 or not len(colbert) or colbert.shape[1] != self._dim:
            raise ValueError(
                f"document {self._documents} has vectors of shape {colbert.shape}; "
                f"(tokens, {self._dim}) is wanted, at least one token"
            )
        rows = self._storage.stored(colbert)
        if self._dtype == "int8":
            rows = np.rint(rows * INT8_SCALE)
        self._tokens.write(np.ascontiguousarray(rows, self._dtype).data)
        self._starts.write(np.int64(self._total).tobytes())
        self._documents += 1
        self._total += len(rows)

    def close(self) -> None:
        """Complete the folder; what was not completed is not opened."""
        if self._tokens.closed:
            return
        self._tokens.write(np.zeros((PADDING, self._dim), self._dtype).data)
        for file in (self._tokens, self._starts):
            file.flush()
            os.fsync(file.fileno())
            file.close()
        manifest = {
            "dim": self._dim,
            "dtype": self._dtype,
            "documents": self._documents,
            "tokens": self._total,
        }
        replace_text(self._path / _MANIFEST, json.dumps(manifest))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        if error is None:
            self.close()
        self._tokens.close()
        self._starts.close()


def open_stacked(path: str | os.PathLike[str]) -> Stacked:
    """
    Map the vectors in a folder, for `m3kit.scoring.maxsim`.

    Raises:
        FileNotFoundError: If there is none that was completed.
        ValueError: If its files are not as long as they were.
    """
    folder = Path(path)
    if not (folder / _MANIFEST).exists():
        raise FileNotFoundError(f"{folder} holds no ColBERT vectors, or was not completed")
    manifest: Mapping[str, Any] = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    dtype = np.dtype(manifest["dtype"])
    shape = (manifest["tokens"] + PADDING, manifest["dim"])
    size = (folder / _TOKENS).stat().st_size
    if size != dtype.itemsize * shape[0] * shape[1]:
        raise ValueError(f"{folder / _TOKENS} is damaged: it has {size} bytes; write it again")
    starts = np.fromfile(folder / _STARTS, np.int64)
    if len(starts) != manifest["documents"]:
        raise ValueError(f"{folder / _STARTS} is damaged: it has {len(starts)} entries")
    tokens = np.memmap(folder / _TOKENS, dtype, mode="r", shape=shape)
    scale = 1 / INT8_SCALE if dtype == np.int8 else 1.0
    return Stacked(tokens, starts, manifest["tokens"], scale)
