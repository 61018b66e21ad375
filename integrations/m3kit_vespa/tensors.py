"""Vectors in Vespa's JSON: cells as hexadecimal digits, big-endian, which is exact and short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from m3kit.adapters.storage import INT8_SCALE, ColbertType
from m3kit.vectors import Floats, Sparse

SCALE = 2**14
"""What a lexical weight is multiplied by to become an integer of a weighted set."""

MOST_TOKENS = 2**31
"""Ids of tokens are below this."""

_MOST_WEIGHT = 2**31 - 1


def dense_value(vector: Floats) -> dict[str, Any]:
    """Write a vector of 32-bit floats."""
    return {"values": _float_hex(vector)}


def colbert_value(rows: Floats, dtype: ColbertType) -> dict[str, Any]:
    """
    Write ColBERT rows, which `ColbertStorage.stored` has rounded.

    So nothing is lost where Vespa cuts bits off: it does not round to bfloat16, it truncates.
    """
    return {"blocks": {str(n): _hex(row, dtype) for n, row in enumerate(rows)}}


def sparse_value(sparse: Sparse) -> dict[str, Any]:
    """Write lexical weights as a mapped tensor."""
    return {"cells": {str(id_): weight for id_, weight in sparse.to_dict().items()}}


def whole_weights(sparse: Sparse) -> dict[str, int]:
    """Write lexical weights as the integers of a weighted set, none of them 0."""
    return {
        str(id_): min(max(1, round(weight * SCALE)), _MOST_WEIGHT)
        for id_, weight in sparse.to_dict().items()
    }


def to_dense(value: Mapping[str, Any]) -> Floats:
    """Read a vector from an answer."""
    return _numbers(value["values"], "float32")


def to_colbert(value: Mapping[str, Any], dtype: ColbertType, dim: int) -> Floats:
    """Read ColBERT rows from an answer, as `ColbertStorage.stored` gave them, in their order."""
    blocks = _labelled(value["blocks"])
    rows = [_numbers(blocks[label], dtype) for label in sorted(blocks, key=int)]
    signs: Floats
    match dtype:
        case "float32" | "bfloat16":
            return np.stack(rows)
        case "int8":
            return (np.stack(rows).astype(np.float64) / INT8_SCALE).astype(np.float32)
        case "binary":
            bits = np.unpackbits(np.stack(rows).astype(np.int8).view(np.uint8), axis=1)
            signs = ((2.0 * bits - 1.0) / np.sqrt(dim)).astype(np.float32)
            return signs
        case "float16":
            raise ValueError("Vespa has no float16 cells")
        case _:
            assert_never(dtype)


def to_sparse(value: Mapping[str, Any] | None) -> Sparse:
    """Read lexical weights from an answer, where an empty tensor is missing."""
    cells = {} if value is None else _labelled(value["cells"])
    return Sparse.from_dict({int(id_): weight for id_, weight in cells.items()})


def _labelled(cells: Any) -> dict[str, Any]:
    """Read `{label: value}`, which Vespa also writes as a list of addresses and values."""
    if isinstance(cells, Mapping):
        return dict(cells)
    return {
        next(iter(cell["address"].values())): cell.get("value", cell.get("values"))
        for cell in cells
    }


def _hex(row: Floats, dtype: ColbertType) -> str:
    match dtype:
        case "float32":
            return _float_hex(row)
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
            assert_never(dtype)


def _float_hex(vector: Floats) -> str:
    return np.asarray(vector, dtype=">f4").tobytes().hex()


def _numbers(values: Any, dtype: ColbertType) -> Floats:
    """Read cells that are hexadecimal digits or plain numbers."""
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
