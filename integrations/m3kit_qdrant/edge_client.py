"""A directory's points behind `qdrant_edge`, as an `Engine`."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import qdrant_edge as edge
from numpy.typing import NDArray

from m3kit._batching import batched
from m3kit.optimization import Optimization
from m3kit.vectors import Rep
from m3kit_qdrant.directory import Directory, check_room
from m3kit_qdrant.edge_config import EXACT, approximate
from m3kit_qdrant.edge_filters import to_edge
from m3kit_qdrant.edge_shard import Shard
from m3kit_qdrant.edge_writes import Writes
from m3kit_qdrant.engine import (
    Answer,
    Condition,
    Key,
    Point,
    Selection,
    StoredPoint,
    ToScore,
    VectorQuery,
    to_key,
)
from m3kit_qdrant.filters import conditions_in
from m3kit_qdrant.layout import ID
from m3kit_qdrant.page_cache import PageCache, page_cache
from m3kit_qdrant.vectors import Vectors

_LOG_BYTES = 128 * 2**20
"""Bytes after which the log is flushed, so that it stays small and is soon read again."""

_INDEXED_FROM = 1000
"""How many points a shard has before it is worth an index."""

_SAMPLE = 16

_PAGE = 64
"""How many points are carried over at once."""

_KEYS_PAGE = 10_000

_TYPES: dict[type, edge.PayloadSchemaType] = {
    str: edge.PayloadSchemaType.Keyword,
    bool: edge.PayloadSchemaType.Bool,
    int: edge.PayloadSchemaType.Float,  # in which integers are found, too
    float: edge.PayloadSchemaType.Float,
}
"""The index for a type of value; each leaves what it cannot answer to the payload itself."""


class EdgeEngine:
    """
    The engine; its own lock is not safe, so `Directory` has one around it.

    Args:
        directory: What holds the lock.
        folder: The engine's files.
        vectors: How vectors lie in the points.
    """

    colbert_limit = None
    is_remote = False
    score_error = 0.0
    has_substring = True

    def __init__(self, directory: Directory, folder: Path, vectors: Vectors) -> None:
        self._directory = directory
        self._vectors = vectors
        self._open_shard: Shard | None = Shard.load(directory.path, folder)
        self._page_cache: PageCache | None = None
        self._use(folder, directory.optimization)
        self.writes = Writes()
        self._logged = 0
        self._indexing = Lock()
        info = self._open_shard.info()
        self._most_points = info.points_count
        """How many points there are if each was new when it was written."""
        self._indexed = set(info.payload_schema)
        self._absent: set[str] = set()
        """Keys that no point had when an index was to be made."""

    def prepare_filter(self, where: Condition, /) -> None:
        """
        Make the indexes that a filter profits from, of a type that changes no answer.

        What they leave out, conditions still find in the payload (`tests/qdrant/test_indexes.py`).
        """
        keys = {
            condition.get("key") or condition.get("is_empty", {}).get("key")
            for condition in conditions_in(where)
        }
        missing = keys - self._indexed - self._absent - {None, ID}
        if (
            missing
            and self._most_points >= _INDEXED_FROM
            and self._shard.info().points_count >= _INDEXED_FROM
        ):
            with self._indexing:
                for key in missing:
                    self._index(key)

    def write(self, points: Sequence[Point], /) -> None:
        """See `Engine.write`."""
        nbytes = sum(point.nbytes for point in points)
        written = [
            edge.Point(
                point.key,
                self._vectors.to_point(point.output, edge.SparseVector, numbers=_numbers),
                point.payload,
            )
            for point in points
        ]
        with self.writes:
            self.writes.note(lambda: [point.key for point in points])
            self._update(edge.UpdateOperation.upsert_points(written), nbytes)
        self._absent.clear()
        self._most_points += len(points)
        self._logged += nbytes
        if self._logged > _LOG_BYTES:
            self.flush()

    def query(self, queries: Sequence[VectorQuery], /) -> Sequence[Answer]:
        """See `Engine.query`."""
        requests = [self._request(query) for query in queries]
        batch = edge.QueryBatchRequest([request for request, _ in requests])
        answers = self._shard.query_batch(batch)
        if (cache := self._page_cache) is not None:
            cache.count_search()
        return [
            Answer.scored(points, to_score, query.select)
            for query, (_, to_score), points in zip(queries, requests, answers, strict=True)
        ]

    def retrieve(
        self, keys: Sequence[Key], reps: Collection[Rep], select: Selection, /
    ) -> Sequence[StoredPoint]:
        """See `Engine.retrieve`."""
        selection = self._vectors.selection(reps)
        records = self._shard.retrieve([*keys], with_payload=select, with_vector=selection)
        return [self._vectors.stored(record, reps) for record in records]

    def scroll(
        self, where: Condition | None, reps: Collection[Rep], start: Any, limit: int, /
    ) -> tuple[Sequence[StoredPoint], Any]:
        """See `Engine.scroll`."""
        page, following = self._shard.scroll(
            edge.ScrollRequest(
                offset=start,
                limit=limit,
                filter=_filter(where),
                with_payload=True,
                with_vector=self._vectors.selection(reps),
            )
        )
        return [self._vectors.stored(record, reps) for record in page], following

    def delete(self, where: Condition, /) -> None:
        """See `Engine.delete`."""
        with self.writes:
            self.writes.note(lambda: self._keys(where))
            self._update(edge.UpdateOperation.delete_points_by_filter(to_edge(where)), 0)

    def count(self, where: Condition | None, /) -> int:
        """See `Engine.count`."""
        return self._shard.count(edge.CountRequest(exact=True, filter=_filter(where)))

    def flush(self) -> None:
        """See `Engine.flush`."""
        self._shard.flush()
        self._logged = 0

    def carry_over(self, keys: Iterable[Key], shard: Shard) -> None:
        """Bring points of another shard to where they are here, written or deleted."""
        for page in batched(keys, _PAGE):
            records = self._shard.retrieve([*page], with_payload=True, with_vector=True)
            deleted = set(page) - {to_key(record.id) for record in records}
            if deleted:
                shard.update(edge.UpdateOperation.delete_points([*deleted]))
            points = [
                edge.Point(to_key(record.id), record.vector or {}, record.payload)
                for record in records
            ]
            check_room(self._directory.path)
            shard.update(edge.UpdateOperation.upsert_points(points))

    def carry_over_indexes(self, shard: Shard) -> None:
        """Make the indexes in another shard that there are here."""
        existing = shard.info().payload_schema
        for key, index in self._shard.info().payload_schema.items():
            if key not in existing:
                shard.update(edge.UpdateOperation.create_field_index(key, index.data_type))

    def replace(self, shard: Shard, folder: Path, optimization: Optimization | None) -> None:
        """Answer from another shard from now on; the files of the old one are removed."""
        old, self._open_shard = self._shard, shard
        old_folder = self.folder
        self._use(folder, optimization)
        old.remove_when_unused(old_folder)

    def is_transient(self, _: Exception, /) -> bool:
        """See `Engine.is_transient`: files have no errors that pass by themselves."""
        return False

    def close(self) -> None:
        """Flush and close the files; a second call does nothing, nor does a forked process."""
        if self._open_shard is not None:
            shard, self._open_shard = self._open_shard, None
            if not self._directory.is_ours:
                return
            try:
                shard.flush()
            finally:
                self._close_page_cache()
                shard.close()

    @property
    def _shard(self) -> Shard:
        if self._open_shard is None:
            raise ValueError(f"the index in {self._directory.path} is closed")
        self._directory.check_process()
        return self._open_shard

    def _index(self, key: str) -> None:
        if key in self._indexed:  # by another thread
            return
        schema = self._schema(key)
        if schema is None:
            self._absent.add(key)
            return
        with self.writes.unless_busy() as is_free:
            if not is_free:  # a search does not wait while files are copied
                return
            try:
                self._update(edge.UpdateOperation.create_field_index(key, schema), 0)
            except OSError:  # a full disk, on which the filter reads point by point
                return
        self._indexed.add(key)

    def _schema(self, key: str) -> edge.PayloadSchemaType | None:
        """Choose the type of an index by what most of the first points have; None if none has."""
        if key.endswith("[]"):  # of which filters only ask whether it is empty
            return edge.PayloadSchemaType.Keyword
        exists = edge.Filter(must_not=[edge.IsEmptyCondition(key)])
        request = edge.ScrollRequest(
            limit=_SAMPLE, filter=exists, with_payload=[key], with_vector=False
        )
        points, _ = self._shard.scroll(request)
        types = [_TYPES[type(value)] for point in points for value in _scalars(point.payload)]
        return max(types, key=types.count) if types else None

    def _keys(self, where: Condition) -> Iterator[Key]:
        start = None
        while True:
            request = edge.ScrollRequest(
                offset=start,
                limit=_KEYS_PAGE,
                filter=to_edge(where),
                with_payload=False,
                with_vector=False,
            )
            page, start = self._shard.scroll(request)
            yield from (to_key(record.id) for record in page)
            if start is None:
                return

    def _request(self, query: VectorQuery) -> tuple[edge.QueryRequest, ToScore | None]:
        vector, to_score = self._vectors.to_query(query, edge.SparseVector, numbers=_numbers)
        request = edge.QueryRequest(
            query=edge.Query.Nearest(vector, using=self._vectors.names[query.rep]),
            filter=_filter(query.where),
            limit=query.limit,
            with_payload=query.select,
            params=EXACT if query.exact or query.rep != "dense" else self._graph,
        )
        return request, to_score

    def _use(self, folder: Path, optimization: Optimization | None) -> None:
        """Search the shard in a folder as it was optimized."""
        self._close_page_cache()
        self.folder = folder
        self._graph = EXACT
        if optimization is not None:
            self._graph = approximate(optimization.search)
            self._page_cache = page_cache(folder)

    def _close_page_cache(self) -> None:
        if self._page_cache is not None:
            self._page_cache.close()
            self._page_cache = None

    def _update(self, operation: edge.UpdateOperation, nbytes: int) -> None:
        shard = self._shard
        check_room(self._directory.path, nbytes)
        shard.update(operation)


def _scalars(value: object) -> Iterator[object]:
    """Yield the strings, booleans and numbers within a value."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _scalars(item)
    elif value is not None:
        yield value


def _numbers(numbers: NDArray[Any]) -> array[Any]:
    """Give the binding numbers one by one: it reads a list slower, and NumPy's array more so."""
    return array(numbers.dtype.char, numbers.tobytes())


def _filter(where: Condition | None) -> edge.Filter | None:
    return None if where is None else to_edge(where)
