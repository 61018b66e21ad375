"""The documents of a collection: what `QdrantIndex` and `EdgeIndex` share."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from m3kit._batching import batched, chunked
from m3kit.adapters.filter_translation import FilterExpression
from m3kit.adapters.manifest import Manifest
from m3kit.adapters.store import PAGE, page_size
from m3kit.filters import Filter, is_scalar
from m3kit.index import DocumentError, Search
from m3kit.records import Document, Record
from m3kit.vectors import Rep
from m3kit_qdrant.engine import Condition, Engine, Point, StoredPoint
from m3kit_qdrant.filters import to_qdrant
from m3kit_qdrant.layout import Layout, point_id, point_key
from m3kit_qdrant.search import QdrantSearcher
from m3kit_qdrant.vectors import rows_of

_BATCH_BYTES = 4 * 2**20
"""Bytes that are written at once; as JSON some 22 MB, where a server takes 32."""


class QdrantStore:
    """
    The points of a collection, as an `m3kit.adapters.store.Store`.

    Args:
        engine: The collection.
        layout: How documents lie in it.
        manifest: What it holds.
    """

    token_id_limit = 2**32

    def __init__(self, engine: Engine, layout: Layout, manifest: Manifest) -> None:
        self._engine = engine
        self._layout = layout
        self.manifest = manifest
        self.delete, self.count, self.flush = engine.delete, engine.count, engine.flush
        self.is_transient = engine.is_transient

    def check(self, document: Document, /) -> None:
        """Check the metadata; see `Store.check`."""
        self._layout.payload(document)

    def write(self, records: Sequence[Record], /) -> None:
        """Write records, batch by batch; see `Store.write`."""
        points = [self._point(record) for record in records]
        for point, record in zip(points, records, strict=True):
            self._check_limits(point, record.document.id)
        for batch in chunked(points, size=lambda point: point.nbytes, budget=_BATCH_BYTES):
            self._engine.write(batch if self._layout.is_keyed else self._placed(batch))

    def translate(self, where: Filter, /) -> FilterExpression[Condition]:
        """Translate a filter, and have the engine prepare for it; see `Store.translate`."""
        translated = to_qdrant(where, self._layout, lambda: self._engine.has_substring)
        self._engine.prepare_filter(translated.expression)
        return translated

    def prepare_search(self, search: Search, where: Condition | None, /) -> QdrantSearcher:
        """Prepare a search; see `Store.prepare_search`."""
        return QdrantSearcher(self._engine, self._layout, search, where)

    def read(self, ids: Sequence[str], reps: Collection[Rep], /) -> dict[str, Record]:
        """Read records; see `Store.read`."""
        wanted = dict.fromkeys(ids)
        records = (
            self._record(point, reps)
            for batch in batched(wanted, page_size(reps))
            for point in self._points(tuple(batch), reps)
        )
        return {record.document.id: record for record in records if record.document.id in wanted}

    def scan(self, where: Condition | None, reps: Collection[Rep], /) -> Iterator[Record]:
        """Stream what matches, page by page; see `Store.scan`."""
        return (self._record(point, reps) for point in self._scrolled(where, reps))

    def filterable_fields(self) -> set[str]:
        """Name the metadata fields that filters reach, of a page of documents."""
        points, _ = self._engine.scroll(None, (), None, PAGE)
        documents = [self._layout.document(str(point.key), point.payload) for point in points]
        return {
            field
            for document in documents
            for field, value in document.metadata.items()
            if is_scalar(value) or (isinstance(value, list) and any(map(is_scalar, value)))
        }

    def _point(self, record: Record) -> Point:
        document, output = record.document, record.output
        nbytes = output.nbytes + len(document.text) + len(repr(document.metadata))
        key = point_key(document.id) if self._layout.is_keyed else point_id(document.id)
        return Point(key, output, self._layout.payload(document), nbytes)

    def _check_limits(self, point: Point, id_: str) -> None:
        colbert, limit = point.output.colbert, self._engine.colbert_limit
        if colbert is None or limit is None:
            return
        numbers = len(colbert) * rows_of(self.manifest.colbert).width(self.manifest.dim)
        if numbers >= limit:
            raise DocumentError(
                f"document {id_!r} has {numbers} numbers of ColBERT vectors, and a Qdrant server "
                f"holds fewer than {limit} of one document; split its text, or pool its vectors "
                "(ColbertStorage)"
            )

    def _placed(self, points: Sequence[Point]) -> list[Point]:
        """Put points in the place of those that hold the same documents, whatever their keys."""
        ids = [self._layout.id(str(point.key), point.payload) for point in points]
        stored = {
            self._layout.id(str(point.key), point.payload): point.key
            for point in self._scrolled(self._layout.ids(tuple(ids)), ())
        }
        return [
            replace(point, key=stored.get(id_, point.key))
            for id_, point in zip(ids, points, strict=True)
        ]

    def _points(self, ids: tuple[str, ...], reps: Collection[Rep]) -> Sequence[StoredPoint]:
        if not self._layout.is_keyed:
            return list(self._scrolled(self._layout.ids(ids), reps))
        return self._engine.retrieve([*map(point_key, ids)], reps, True)  # noqa: FBT003  # all of it

    def _scrolled(self, where: Condition | None, reps: Collection[Rep]) -> Iterator[StoredPoint]:
        start: Any = None
        while True:
            points, start = self._engine.scroll(where, reps, start, page_size(reps))
            yield from points
            if start is None:
                return

    def _record(self, point: StoredPoint, reps: Collection[Rep]) -> Record:
        document = self._layout.document(str(point.key), point.payload)
        return Record(document, point.output.only(*reps))
