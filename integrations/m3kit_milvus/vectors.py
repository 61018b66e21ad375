"""M3's outputs as Milvus' vectors, and back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymilvus import DataType
from pymilvus.client.embedding_list import EmbeddingList

from m3kit.adapters.storage import INT8_SCALE, ColbertType
from m3kit.scoring import require
from m3kit.vectors import Floats, M3Output, Rep, Sparse
from m3kit_milvus.client import Row

NO_TOKEN = 2**32 - 2
"""
The last token id that Milvus takes, and the only one of a text without a lexical weight.

Milvus Lite refuses an empty sparse vector. No query seeks this token, and no answer shows it.
"""

TOKEN = "token"  # noqa: S105  # the name of a field
"""The field of a struct that holds one ColBERT vector."""

MAX_VECTORS = 4_096
"""How many ColBERT vectors a document may have: the most elements of an array."""

COLBERT_TYPES: Mapping[ColbertType, DataType] = {
    "float32": DataType.FLOAT_VECTOR,
    "float16": DataType.FLOAT16_VECTOR,
    "int8": DataType.INT8_VECTOR,
}
"""The numbers in which Milvus compares ColBERT vectors."""

_NO_WEIGHT = Sparse(np.array([NO_TOKEN]), np.array([1e-6], np.float32))


@dataclass(frozen=True, slots=True)
class Column:
    """
    Where a representation's vectors are.

    Args:
        field: The field of a row.
        metric: The metric of their index.
        index_type: Its type, as Milvus calls it.
        search_params: Parameters of a search in it.
        anns_field: What an index and a search call the field.
    """

    field: str
    metric: str
    index_type: str
    search_params: Mapping[str, Any]
    anns_field: str


def anns_field(rep: Rep, field: str) -> str:
    """Return what an index and a search call a representation's field."""
    return f"{field}[{TOKEN}]" if rep == "colbert" else field


def to_fields(
    output: M3Output, columns: Mapping[Rep, Column], colbert: ColbertType
) -> dict[str, Any]:
    """Convert vectors to fields of a row."""
    return {
        column.field: _value(output, rep, colbert)
        for rep, column in columns.items()
        if rep in output.reps
    }


def to_query(output: M3Output, rep: Rep, colbert: ColbertType) -> Any:
    """Convert the vector of a query, in the type of those that it is compared with."""
    if rep == "colbert":
        return EmbeddingList(_stored(require(output.colbert, rep), colbert))
    return _value(output, rep, colbert)


def to_output(
    row: Row, columns: Mapping[Rep, Column], reps: Collection[Rep], colbert: ColbertType
) -> M3Output:
    """Read the vectors of a row."""
    values = {rep: row[columns[rep].field] for rep in reps}
    return M3Output(
        dense=np.array(values["dense"], np.float32) if "dense" in values else None,
        sparse=_sparse(values["sparse"]) if "sparse" in values else None,
        colbert=_colbert(values["colbert"], colbert) if "colbert" in values else None,
    )


def to_score(distance: float, metric: str, query: M3Output, colbert: ColbertType) -> float:
    """
    Convert a distance of Milvus to M3's score, between vectors of length one.

    Args:
        distance: Of IP and COSINE the product, of L2 the square of the distance, of MAX_SIM_IP the
            sum over the query's tokens.
        metric: The metric.
        query: The query.
        colbert: In which numbers ColBERT vectors are compared.
    """
    if metric == "L2":
        return 1 - distance / 2
    if metric.startswith("MAX_SIM"):
        scale = INT8_SCALE**2 if colbert == "int8" else 1
        return distance / len(require(query.colbert, "colbert")) / scale
    return distance


def nbytes(row: Row) -> int:
    """Estimate how many bytes a row takes."""
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
        case [{"token": np.ndarray() as vector}, *_]:
            return len(value) * vector.nbytes
        case dict():
            return sum(4 * len(name) + _size(item) for name, item in value.items())
        case list():
            return sum(map(_size, value))
        case _:
            return 8


def _value(output: M3Output, rep: Rep, colbert: ColbertType) -> Any:
    if rep == "dense":
        return require(output.dense, rep).astype(np.float32, copy=False)
    if rep == "sparse":
        return _row(require(output.sparse, rep) or _NO_WEIGHT)
    return [{TOKEN: row} for row in _stored(require(output.colbert, rep), colbert)]


def _row(sparse: Sparse) -> Any:
    """Write weights as a row of SciPy's: pymilvus reads it once, where it reads a dict thrice."""
    from scipy.sparse import csr_array  # 0.1 s, which pymilvus takes at its first sparse vector

    weights = sparse.weights.astype(np.float32, copy=False)
    return csr_array((weights, sparse.ids, np.array([0, len(sparse)])), shape=(1, NO_TOKEN + 1))


def _sparse(weights: Mapping[int, float]) -> Sparse:
    return Sparse.from_dict({id_: weight for id_, weight in weights.items() if id_ != NO_TOKEN})


def _stored(rows: Floats, colbert: ColbertType) -> Any:
    """Write rows, which `ColbertStorage.stored` has rounded, in the numbers that hold them."""
    match colbert:
        case "float16":
            return rows.astype(np.float16)
        case "int8":
            return np.rint(rows * INT8_SCALE).clip(-INT8_SCALE, INT8_SCALE).astype(np.int8)
        case _:
            return rows.astype(np.float32, copy=False)


def _colbert(structs: Collection[Mapping[str, Any]], colbert: ColbertType) -> Floats:
    vectors = [struct[TOKEN] for struct in structs]
    match colbert:
        case "float16":
            return np.stack([_read(vector, np.float16) for vector in vectors])
        case "int8":
            return np.stack([_read(vector, np.int8) for vector in vectors]) / np.float32(INT8_SCALE)
        case _:
            return np.array(vectors, np.float32)


def _read(vector: Any, dtype: type[np.generic]) -> Floats:
    """Read a vector that comes as numbers, or as the bytes of such numbers."""
    if isinstance(vector, bytes):
        return np.frombuffer(vector, dtype).astype(np.float32)
    return np.asarray(vector, np.float32)
