"""
Outputs as Vespa's tensors, and back.

In a schema that `m3_package` made, cells are written and read as hexadecimal digits, big-endian,
which is exact and short. The cells of any other schema are of unknown types: numbers are written,
and Vespa turns them into its cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray

from m3kit.adapters.storage import INT8_SCALE, ColbertType
from m3kit.vectors import Floats, Sparse

Cells: TypeAlias = ColbertType | Literal["numbers"]
"""How the cells of a tensor are written."""

TOKEN_ID_LIMIT = 2**31
"""Ids of tokens are below this."""

SCALE = 2**14
"""What a lexical weight is multiplied by to become an integer of a weighted set."""

_MAX_WEIGHT = 2**31 - 1


def dense_value(vector: Floats, cells: Cells = "float32") -> dict[str, Any]:
    """Write a vector."""
    return {"values": _write(vector, cells)}


def colbert_value(rows: Floats, cells: Cells) -> dict[str, Any]:
    """
    Write ColBERT rows, which `ColbertStorage.stored` has rounded.

    So nothing is lost where Vespa cuts bits off: it does not round to bfloat16, it truncates.
    """
    return {"blocks": {str(n): _write(row, cells) for n, row in enumerate(rows)}}


def sparse_value(sparse: Sparse) -> dict[str, Any]:
    """Write lexical weights as a mapped tensor."""
    return {"cells": {str(id_): weight for id_, weight in sparse.to_dict().items()}}


def integer_weights(sparse: Sparse) -> dict[str, int]:
    """Write lexical weights as the integers of a weighted set, none of them 0."""
    return {
        str(id_): min(max(1, round(weight * SCALE)), _MAX_WEIGHT)
        for id_, weight in sparse.to_dict().items()
    }


def to_dense(value: Mapping[str, Any]) -> Floats:
    """Read a vector from an answer."""
    return _read(value["values"], "float32")


def to_sparse(value: Mapping[str, Any] | None) -> Sparse:
    """Read lexical weights from an answer, where an empty tensor is missing."""
    cells = {} if value is None else _labelled(value["cells"])
    return Sparse.from_dict({int(id_): weight for id_, weight in cells.items()})


def to_colbert(value: Mapping[str, Any], dtype: ColbertType, dim: int) -> Floats:
    """Read ColBERT rows from an answer, as `ColbertStorage.stored` gave them, in their order."""
    blocks = _labelled(value["blocks"])
    rows = np.stack([_read(blocks[label], dtype) for label in sorted(blocks, key=int)])
    match dtype:
        case "float32" | "bfloat16" | "float16":
            return rows
        case "int8":
            return (rows.astype(np.float64) / INT8_SCALE).astype(np.float32)
        case "binary":
            bits = np.unpackbits(rows.astype(np.int8).view(np.uint8), axis=1)
            signs: Floats = ((2.0 * bits - 1.0) / np.sqrt(dim)).astype(np.float32)
            return signs
        case _:
            assert_never(dtype)


def _labelled(cells: Any) -> dict[str, Any]:
    """Read `{label: value}`, which Vespa also writes as a list of addresses and values."""
    if isinstance(cells, Mapping):
        return dict(cells)
    return {
        next(iter(cell["address"].values())): cell.get("value", cell.get("values"))
        for cell in cells
    }


def _write(row: Floats, cells: Cells) -> str | list[float]:
    match cells:
        case "numbers":
            numbers: list[float] = row.tolist()
            return numbers
        case "float32":
            return np.asarray(row, dtype=">f4").tobytes().hex()
        case "bfloat16":
            bits = np.ascontiguousarray(row, np.float32).view(np.uint32) >> 16
            return bits.astype(">u2").tobytes().hex()
        case "int8":
            return np.rint(row * INT8_SCALE).astype(np.int8).tobytes().hex()
        case "binary":
            return np.packbits(row > 0).tobytes().hex()
        case "float16":
            raise ValueError("Vespa has no float16 cells")
        case _:
            assert_never(cells)


def _read(values: Any, dtype: ColbertType) -> Floats:
    """Read cells that are hexadecimal digits or numbers."""
    if not isinstance(values, str):
        return np.array(values, dtype=np.float32)
    raw = bytes.fromhex(values)
    cells: NDArray[Any]
    match dtype:
        case "bfloat16":
            cells = (np.frombuffer(raw, ">u2").astype(np.uint32) << 16).view(np.float32)
        case "int8" | "binary":
            cells = np.frombuffer(raw, np.int8)
        case _:
            cells = np.frombuffer(raw, ">f4")
    return cells.astype(np.float32)
