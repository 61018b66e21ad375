"""Vectors in Milvus's words, and back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from pymilvus.client.embedding_list import EmbeddingList

from m3kit.adapters.storage import INT8_SCALE, ColbertType
from m3kit.scoring import require
from m3kit.vectors import Floats, M3Output, Rep, Sparse
from m3kit_milvus.layout import Column, Row

NO_TOKEN = 2**32 - 2
"""
The last token id that Milvus takes, and the only one of a text without a lexical weight.

Milvus Lite refuses an empty sparse vector. No query seeks this token, and no answer shows it.
"""

TOKEN = "token"  # noqa: S105  # the name of a field
"""The field of a struct that holds one ColBERT vector."""

_NO_WEIGHT = Sparse(np.array([NO_TOKEN]), np.array([1e-6], np.float32))


def to_cells(
    output: M3Output, columns: Mapping[Rep, Column], colbert: ColbertType
) -> dict[str, Any]:
    """Write vectors under the names of their fields."""
    return {
        column.field: _cell(output, rep, colbert)
        for rep, column in columns.items()
        if rep in output.reps
    }


def to_query(output: M3Output, rep: Rep, colbert: ColbertType) -> Any:
    """Write the vector of a query, in the type of those that it is compared with."""
    if rep == "colbert":
        return EmbeddingList(_stored(require(output.colbert, rep), colbert))
    return _cell(output, rep, colbert)


def to_output(
    row: Row, columns: Mapping[Rep, Column], reps: Collection[Rep], colbert: ColbertType
) -> M3Output:
    """Read the vectors of a row."""
    cells = {rep: row[columns[rep].field] for rep in reps}
    return M3Output(
        dense=np.array(cells["dense"], np.float32) if "dense" in cells else None,
        sparse=_sparse(cells["sparse"]) if "sparse" in cells else None,
        colbert=_colbert(cells["colbert"], colbert) if "colbert" in cells else None,
    )


def to_score(distance: float, metric: str, query: M3Output, colbert: ColbertType) -> float:
    """
    Bring what Milvus calls a distance to M3's score, between vectors of length one.

    Args:
        distance: Of IP and COSINE the product, of L2 the square of the distance, of MAX_SIM_IP the
            sum over the query's tokens.
        metric: The metric.
        query: What was sought.
        colbert: In which numbers ColBERT vectors are compared.
    """
    if metric == "L2":
        return 1 - distance / 2
    if metric.startswith("MAX_SIM"):
        scale = INT8_SCALE**2 if colbert == "int8" else 1
        return distance / len(require(query.colbert, "colbert")) / scale
    return distance


def nbytes(row: Row) -> int:
    """Return about how many bytes a row takes."""
    return sum(_size(value) for value in row.values())


def _size(value: object) -> int:
    match value:
        case str():
            return 4 * len(value)
        case np.ndarray():
            return value.nbytes
        case int():
            return 8
        case object(indices=np.ndarray() as ids):
            return 8 * len(ids)
        case list() if value and isinstance(value[0], dict):
            return sum(map(_size, value[0].values())) * len(value)
        case _:
            return 8


def _cell(output: M3Output, rep: Rep, colbert: ColbertType) -> Any:
    if rep == "dense":
        return require(output.dense, rep).astype(np.float32, copy=False)
    if rep == "sparse":
        return _row(require(output.sparse, rep) or _NO_WEIGHT)
    return [{TOKEN: one} for one in _stored(require(output.colbert, rep), colbert)]


def _row(sparse: Sparse) -> Any:
    """Write weights as a row of SciPy's: pymilvus reads it once, where it reads a dict thrice."""
    from scipy.sparse import csr_array  # 0.1 s, which pymilvus takes at its first sparse vector

    weights = sparse.weights.astype(np.float32, copy=False)
    return csr_array((weights, sparse.ids, np.array([0, len(sparse)])), shape=(1, NO_TOKEN + 1))


def _sparse(weights: Mapping[int, float]) -> Sparse:
    return Sparse.from_dict({id_: one for id_, one in weights.items() if id_ != NO_TOKEN})


def _stored(rows: Floats, colbert: ColbertType) -> Any:
    """Write rows, which `ColbertStorage.stored` has rounded, in the numbers that hold them."""
    match colbert:
        case "float16":
            return rows.astype(np.float16)
        case "int8":
            return np.rint(rows * INT8_SCALE).clip(-INT8_SCALE, INT8_SCALE).astype(np.int8)
        case _:
            return rows.astype(np.float32, copy=False)


def _colbert(cells: Collection[Mapping[str, Any]], colbert: ColbertType) -> Floats:
    kept = [cell[TOKEN] for cell in cells]
    match colbert:
        case "float16":
            return np.stack([_read(one, np.float16) for one in kept])
        case "int8":
            return np.stack([_read(one, np.int8) for one in kept]) / np.float32(INT8_SCALE)
        case _:
            return np.array(kept, np.float32)


def _read(vector: Any, dtype: type[np.generic]) -> Floats:
    """Read a vector that comes as numbers, or as the bytes of such numbers."""
    if isinstance(vector, bytes):
        return np.frombuffer(vector, dtype).astype(np.float32)
    return np.asarray(vector, np.float32)
