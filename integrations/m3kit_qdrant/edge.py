"""`EdgeIndex`: Qdrant's own engine within this process, over a directory."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import qdrant_edge as edge
from numpy.typing import NDArray

from m3kit.adapters.manifest import Manifest
from m3kit.adapters.storage import ColbertStorage, ColbertType
from m3kit.adapters.store import StoreIndex
from m3kit.index import Closing
from m3kit.vectors import REPS, Rep
from m3kit_qdrant.coding import coding
from m3kit_qdrant.directory import Directory, check_room
from m3kit_qdrant.engine import Ask, Found, Key, Point, Select, Stored
from m3kit_qdrant.filters import Condition
from m3kit_qdrant.own import Own
from m3kit_qdrant.points import Points
from m3kit_qdrant.vectors import Vectors

_DATATYPES: dict[ColbertType, edge.VectorStorageDatatype] = {
    "float32": edge.VectorStorageDatatype.Float32,
    "float16": edge.VectorStorageDatatype.Float16,
    "bfloat16": edge.VectorStorageDatatype.Float16,
    "int8": edge.VectorStorageDatatype.Uint8,
}
"""What a number is kept in; a float16 holds a bfloat16 of a unit vector to 2⁻²⁵."""

_LOG = 128 * 2**20
"""Bytes after which the log is flushed, so that it stays small and is soon read again."""


class EdgeIndex(StoreIndex, Closing):
    """
    An index in a directory, in the process that uses it; threads may share it.

    Every score is exact: no graph is built. What is written survives the end of the process,
    however it ends; `flush` makes it survive the machine's. Close the index, or use it as a context
    manager; one that is forgotten leaves whole files, locked until it is collected.

    Args:
        path: The directory. A new or an empty one is made into an index.
        dim: The width of the vectors. None opens only what exists.
        reps: What a new index holds; an existing one knows it.
        model: What makes the vectors, as `Encoder.model` says. A new index keeps it, an existing
            one is checked against it.
        colbert: How a new index keeps ColBERT vectors, whole by default; an existing one knows it,
            and is checked against it.

    Raises:
        IndexNotFoundError: If there is none and no `dim`, or the directory holds something else.
        ModelMismatchError: If it was made by another model, with another width, or keeps ColBERT
            otherwise.
        RepresentationError: If Qdrant cannot keep ColBERT vectors so (`binary`).
        IndexLockedError: If it is open already.
        OSError: With `errno.ENOSPC`, if the disk has less than 32 MiB free, even for a search: the
            engine writes to its files when it opens them, and kills the process where they cannot
            grow. `upsert` and `delete` raise it too, before anything is written.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        dim: int | None = None,
        reps: Collection[Rep] = REPS,
        model: str | None = None,
        colbert: ColbertStorage | None = None,
    ) -> None:
        self._files = Directory.hold(
            Path(path), "edge", dim=dim, reps=reps, model=model, colbert=colbert
        )
        try:
            engine = _Edge(self._files)
        except BaseException:
            self._files.release()
            raise
        super().__init__(Points(engine, Own(), self._files.manifest))
        self._close = engine.close

    def close(self) -> None:
        """Flush and let go of the files; a second call does nothing."""
        try:
            self._close()
        finally:
            self._files.release()

    def __repr__(self) -> str:
        return f"EdgeIndex({str(self._files.path)!r}, {self._store.stamp})"


class _Edge:
    """The engine; its own lock is not safe, so `Directory` holds one around it."""

    colbert_limit = None
    is_remote = False
    noise = 0.0

    def __init__(self, files: Directory) -> None:
        self._path = files.path
        self._vectors = Vectors.of(files.manifest)
        folder = files.made("edge", lambda path: _make(path, files.manifest))
        self._shard: edge.EdgeShard | None = edge.EdgeShard.load(str(folder))
        if "terms" not in self._shard.info().payload_schema:
            keyword = edge.PayloadSchemaType.Keyword
            self._shard.update(edge.UpdateOperation.create_field_index("terms", keyword))
        self._logged = 0

    def write(self, points: Sequence[Point], /) -> None:
        nbytes = sum(point.nbytes for point in points)
        written = [self._written(point) for point in points]
        self._update(edge.UpdateOperation.upsert_points(written), nbytes)
        self._logged += nbytes
        if self._logged > _LOG:
            self.flush()

    def query(self, asked: Sequence[Ask], /) -> Sequence[Sequence[Found]]:
        requests, scores = zip(*map(self._request, asked), strict=True)
        answers = self._open().query_batch(edge.QueryBatchRequest([*requests]))
        return [
            [Found(_key(one), score(one.score), one.payload or {}) for one in points]
            for points, score in zip(answers, scores, strict=True)
        ]

    def retrieve(
        self, keys: Sequence[Key], reps: Collection[Rep], select: Select, /
    ) -> Sequence[Stored]:
        wanted = self._vectors.wanted(reps)
        found = self._open().retrieve([*keys], with_payload=select, with_vector=wanted)
        return [self._stored(one, reps) for one in found]

    def scroll(
        self, where: Condition | None, reps: Collection[Rep], start: Any, limit: int, /
    ) -> tuple[Sequence[Stored], Any]:
        page, following = self._open().scroll(
            edge.ScrollRequest(
                offset=start,
                limit=limit,
                filter=_filter(where),
                with_payload=True,
                with_vector=self._vectors.wanted(reps),
            )
        )
        return [self._stored(one, reps) for one in page], following

    def delete(self, where: Condition, /) -> None:
        self._update(edge.UpdateOperation.delete_points_by_filter(_must(where)), 0)

    def count(self, where: Condition | None, /) -> int:
        return self._open().count(edge.CountRequest(exact=True, filter=_filter(where)))

    def flush(self) -> None:
        self._open().flush()
        self._logged = 0

    def close(self) -> None:
        if self._shard is not None:
            shard, self._shard = self._shard, None
            try:
                shard.flush()
            finally:
                shard.close()

    def _written(self, point: Point) -> edge.Point:
        vectors = self._vectors.written(point.output, edge.SparseVector, spelled=_spelled)
        return edge.Point(point.key, vectors, point.payload)

    def _stored(self, record: edge.Record, reps: Collection[Rep]) -> Stored:
        output = self._vectors.read(record.vector, reps)
        return Stored(_key(record), record.payload or {}, output)

    def _request(self, ask: Ask) -> tuple[edge.QueryRequest, Callable[[float], float]]:
        vector, score = self._vectors.asked(ask, edge.SparseVector)
        request = edge.QueryRequest(
            query=edge.Query.Nearest(vector, using=self._vectors.names[ask.rep]),
            filter=_filter(ask.where),
            limit=ask.limit,
            with_payload=ask.select,
            params=edge.SearchParams(exact=ask.exact),
        )
        return request, score

    def _update(self, operation: edge.UpdateOperation, nbytes: int) -> None:
        shard = self._open()
        check_room(self._path, nbytes)
        shard.update(operation)

    def _open(self) -> edge.EdgeShard:
        if self._shard is None:
            raise ValueError(f"the index in {self._path} is closed")
        return self._shard


def _make(path: Path, manifest: Manifest) -> None:
    """Create the engine's files, with named vectors for what the index holds."""
    colbert = edge.EdgeVectorParams(
        coding(manifest.colbert).width(manifest.dim),
        edge.Distance.Dot,
        datatype=_DATATYPES[manifest.colbert.dtype],
        multivector_config=edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim),
        hnsw_config=edge.HnswIndexConfig(m=0, ef_construct=100, full_scan_threshold=10_000),
    )
    vectors = {"dense": edge.EdgeVectorParams(manifest.dim, edge.Distance.Dot), "colbert": colbert}
    config = edge.EdgeConfig(
        vectors={rep: params for rep, params in vectors.items() if rep in manifest.reps},
        sparse_vectors={"sparse": edge.EdgeSparseVectorParams()}
        if "sparse" in manifest.reps
        else {},
        wal_enabled=True,
    )
    edge.EdgeShard.create(str(path), config).close()


def _spelled(numbers: NDArray[Any]) -> array[Any]:
    """Give the binding numbers one by one: it reads a list slower, and NumPy's array more so."""
    return array(numbers.dtype.char, numbers.tobytes())


def _key(point: edge.Record | edge.ScoredPoint) -> Key:
    key: Any = point.id  # a UUID, as `Own` names points, which the binding makes anew each time
    return str(key.hex)


def _filter(where: Condition | None) -> edge.Filter | None:
    return None if where is None else _must(where)


def _must(where: Condition) -> edge.Filter:
    return edge.Filter(must=[_condition(where)])


def _condition(where: Condition) -> edge.ConditionType:
    match where:
        case {"has_id": ids}:
            return edge.HasIdCondition(set(ids))
        case {"key": key, "match": {"any": values}}:
            return edge.FieldCondition(key, match=edge.MatchAny(values))
        case {"key": key, "match": {"value": value}}:
            return edge.FieldCondition(key, match=edge.MatchValue(value))
        case {"key": key, "match": {"substring": text}}:
            return edge.FieldCondition(key, match=edge.MatchSubstring(text))
        case {"is_empty": {"key": key}}:
            return edge.IsEmptyCondition(key)
        case {"key": key, "range": bounds}:
            return edge.FieldCondition(key, range=edge.RangeFloat(**bounds))
        case _:
            return edge.Filter(
                must=_conditions(where.get("must")),
                should=_conditions(where.get("should")),
                must_not=_conditions(where.get("must_not")),
            )


def _conditions(of: Sequence[Condition] | None) -> list[edge.ConditionType] | None:
    return None if of is None else [_condition(one) for one in of]
