"""How M3's vectors lie in points: under which names, by which metrics and in which numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from m3kit.adapters.manifest import Manifest
from m3kit.adapters.storage import INT8_SCALE, ColbertStorage
from m3kit.index import RepresentationError, VectorError
from m3kit.scoring import require
from m3kit.vectors import REPS, Floats, M3Output, Rep, Sparse
from m3kit_qdrant.engine import StoredPoint, ToScore, VectorQuery, to_key

Metric: TypeAlias = Literal["dot", "euclid"]
"""What a score is: the inner product, which is the cosine of unit vectors, or their distance."""

_ZERO = 128
"""The byte that stands for 0."""

_BYTE = 255

_NO_VECTORS = M3Output()


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """
    The vectors of a collection.

    Args:
        dim: Their width.
        names: The vector of each representation; `""` is Qdrant's unnamed vector.
        colbert: How ColBERT vectors are stored.
        dense: What the engine's score of dense vectors is.
    """

    dim: int
    names: Mapping[Rep, str]
    colbert: Rows
    dense: Metric = "dot"

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """Describe the vectors of an index that m3kit creates."""
        names = {rep: str(rep) for rep in REPS if rep in manifest.reps}
        return cls(manifest.dim, names, rows_of(manifest.colbert))

    def to_point(
        self,
        output: M3Output,
        sparse: Callable[[Any, Any], Any],
        *,
        numbers: Callable[[NDArray[Any]], Any] = np.ndarray.tolist,
    ) -> dict[str, Any]:
        """
        Write vectors under their names.

        Args:
            output: What to write; its ColBERT vectors are those that are stored.
            sparse: The engine's own class of sparse vectors.
            numbers: How the engine is given an array of numbers.
        """
        vectors: dict[str, Any] = {}
        if output.dense is not None:
            vectors[self.names["dense"]] = numbers(output.dense)
        if output.sparse is not None:
            weights = output.sparse
            vectors[self.names["sparse"]] = sparse(numbers(weights.ids), numbers(weights.weights))
        if output.colbert is not None:
            rows = self.colbert.encode(output.colbert)
            vectors[self.names["colbert"]] = [numbers(row) for row in rows]
        return vectors

    def to_query(
        self,
        query: VectorQuery,
        sparse: Callable[[Any, Any], Any],
        *,
        numbers: Callable[[NDArray[Any]], Any] = np.ndarray.tolist,
    ) -> tuple[Any, ToScore | None]:
        """
        Return a query's vector, and what makes M3's score of the engine's, if they differ.

        See `to_point`.
        """
        match query.rep:
            case "dense":
                vector = numbers(require(query.query.dense, "dense"))
                return vector, None if self.dense == "dot" else _to_dot
            case "sparse":
                weights = require(query.query.sparse, "sparse")
                return sparse(numbers(weights.ids), numbers(weights.weights)), None
            case "colbert":
                rows = self.colbert.encode_query(require(query.query.colbert, "colbert"))
                vectors = [numbers(row) for row in rows.rows]
                return vectors, lambda raw: rows.factor * raw - rows.offset

    def selection(self, reps: Collection[Rep]) -> list[str] | bool:
        """Name the vectors that an engine is to return; the unnamed comes with all others."""
        names = [self.names[rep] for rep in REPS if rep in reps]
        return "" in names or names or False

    def stored(self, record: Any, reps: Collection[Rep]) -> StoredPoint:
        """Read a point that an engine returned."""
        output = self.from_point(record.vector, reps)
        return StoredPoint(to_key(record.id), record.payload or {}, output)

    def from_point(self, vectors: Any, reps: Collection[Rep]) -> M3Output:
        """Read the vectors that an engine returned; an absent sparse vector is an empty one."""
        if not reps:
            return _NO_VECTORS
        named = vectors if isinstance(vectors, dict) else {"": vectors}
        stored = {rep: named.get(self.names[rep]) for rep in reps}
        dense, rows = (
            None if vector is None else np.array(vector, np.float32)
            for vector in (stored.get("dense"), stored.get("colbert"))
        )
        return M3Output(
            dense=dense,
            sparse=_weights(stored["sparse"]) if "sparse" in stored else None,
            colbert=None if rows is None else self.colbert.decode(rows, self.dim),
        )


class QueryRows(NamedTuple):
    """A query's rows; M3's score is `factor * score - offset` of the engine's."""

    rows: Floats
    factor: float
    offset: float


@dataclass(frozen=True, slots=True)
class Rows:
    """
    How rows of ColBERT vectors are stored, and those of a query compared with them: as they are.

    An engine that stores them as float16 rounds a query's, too.
    """

    def width(self, dim: int) -> int:
        """Return how many numbers a row takes."""
        return dim

    def encode(self, stored: Floats) -> Floats:
        """Encode what `ColbertStorage.stored` returns."""
        return stored

    def decode(self, rows: Floats, dim: int) -> Floats:  # noqa: ARG002  # of other rows
        """Undo `encode`."""
        return rows

    def encode_query(self, query: Floats) -> QueryRows:
        """Encode a query; the engine sums MaxSim over its rows, where M3 takes the mean."""
        return QueryRows(query, 1 / len(query), 0.0)


@dataclass(frozen=True, slots=True)
class ByteRows(Rows):
    """
    Rows as unsigned bytes, of which Qdrant computes inner products without a sign.

    A dimension is `round(127 x) + 128`. Its product with a query `y + 128` is `x y`, 128 times the
    sum of the query, and 128 times the sum of the row. So that the last does not tell one row from
    another, a row ends in a few bytes that bring the sums of all rows to one number: then a score
    is the engine's less a number that the query alone decides. The query is rounded to steps of its
    largest dimension / 127, some eight times finer than the rows.
    """

    def width(self, dim: int) -> int:
        """See `Rows.width`."""
        return dim + -(-2 * _largest_sum(dim) // _BYTE)

    def encode(self, stored: Floats) -> Floats:
        """See `Rows.encode`."""
        steps = np.rint(stored * INT8_SCALE)
        left = _largest_sum(stored.shape[1]) - steps.sum(axis=1, keepdims=True)
        ends = np.arange(self.width(stored.shape[1]) - stored.shape[1])
        if np.abs(steps).max() > INT8_SCALE or left.min() < 0 or left.max() > _BYTE * len(ends):
            raise VectorError(
                "ColBERT vectors that are stored as int8 are unit rows; these are not"
            )
        rest = (left - _BYTE * ends).clip(0, _BYTE)
        return np.concatenate([steps + _ZERO, rest], axis=1, dtype=np.float32)

    def decode(self, rows: Floats, dim: int) -> Floats:
        """See `Rows.decode`."""
        return ((rows[:, :dim] - _ZERO) / INT8_SCALE).astype(np.float32)

    def encode_query(self, query: Floats) -> QueryRows:
        """See `Rows.encode_query`."""
        dim = query.shape[1]
        scale = INT8_SCALE / (float(np.abs(query).max()) or 1.0)
        steps = np.rint(query * scale)
        ends = np.full((len(query), self.width(dim) - dim), _ZERO)
        rows = np.concatenate([steps + _ZERO, ends], axis=1, dtype=np.float32)
        factor = 1 / (INT8_SCALE * scale)
        total = _ZERO * dim + _largest_sum(dim)
        offset = _ZERO * (total + float(steps.sum(axis=1, dtype=np.float64).mean()))
        return QueryRows(rows, factor / len(query), factor * offset)


def rows_of(storage: ColbertStorage) -> Rows:
    """
    Choose how rows are stored.

    Raises:
        RepresentationError: If Qdrant cannot.
    """
    match storage.dtype:
        case "int8":
            return ByteRows()
        case "binary":
            raise RepresentationError(
                "Qdrant stores bits beside the whole vectors only; store ColBERT vectors as int8 "
                "or float16, pooled, or have bits made beside them for speed: QdrantOptions.colbert"
            )
        case _:
            return Rows()


def _largest_sum(dim: int) -> int:
    """Return how far from 0 the steps of a unit row may sum up, rounding included."""
    return math.ceil(INT8_SCALE * math.sqrt(dim) + dim / 2)


def _weights(sparse: Any) -> Sparse:
    if sparse is None:
        return Sparse.from_dict({})
    return Sparse(np.array(sparse.indices, np.int64), np.array(sparse.values, np.float32))


def _to_dot(distance: float) -> float:
    """Turn the distance of two unit vectors into their inner product."""
    return 1 - math.pow(distance, 2) / 2
