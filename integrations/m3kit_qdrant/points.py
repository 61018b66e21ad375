"""One query plan for both of Qdrant's engines: what `EdgeIndex` and `QdrantIndex` share."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from m3kit import ranking
from m3kit.batches import batched, chunked
from m3kit.filters import Filter
from m3kit.fusion import Ranking, by_score
from m3kit.index import DocumentError
from m3kit.records import Document, Record
from m3kit.stamp import Stamp
from m3kit.vectors import M3Output, Rep
from m3kit_qdrant.engine import Ask, Engine, Point, Stored, to_output
from m3kit_qdrant.filters import Condition, to_qdrant
from m3kit_qdrant.payload import point_id, to_document, to_payload

_BATCH = 4 * 2**20
"""Bytes that are written at once; as JSON some 22 MB, where a server takes 32."""

_PAGE = 256
_PAGE_OF_COLBERT = 16


class Points:
    """
    The points of an engine, as an `m3kit.store.Store`.

    Args:
        engine: Who holds them.
        stamp: What they are.
    """

    tokens = 2**32

    def __init__(self, engine: Engine, stamp: Stamp) -> None:
        self._engine = engine
        self.stamp = stamp

    def write(self, records: Sequence[Record], /) -> None:
        """Write records, batch by batch; see `Store.write`."""
        points = [Point(record.output, to_payload(record.document)) for record in records]
        for point in points:
            _check_limits(point, self.tokens, self._engine.colbert_limit)
        for batch in chunked(points, size=lambda point: point.nbytes, budget=_BATCH):
            self._engine.write(batch)

    def searcher(self, query: M3Output, where: Filter | None, /) -> _Searcher:
        """Take up a query; see `Store.searcher`."""
        return _Searcher(self, self._engine, query, _where(where))

    def read(self, ids: Sequence[str], reps: Collection[Rep], /) -> dict[str, Record]:
        """Read records; see `Store.read`."""
        records = (
            _record(point, reps)
            for some in batched(dict.fromkeys(ids), _page(reps))
            for point in self._engine.retrieve([point_id(id_) for id_ in some], reps)
        )
        return {record.document.id: record for record in records}

    def scan(self, where: Filter | None, reps: Collection[Rep], /) -> Iterator[Record]:
        """Stream what matches, page by page; see `Store.scan`."""
        return self._scanned(_where(where), reps)

    def delete(self, where: Filter, /) -> None:
        """Forget what matches; see `Store.delete`."""
        self._engine.delete(to_qdrant(where))

    def count(self, where: Filter | None, /) -> int:
        """Count what matches; see `Store.count`."""
        return self._engine.count(_where(where))

    def flush(self) -> None:
        """Return when what was written is durable; see `Store.flush`."""
        self._engine.flush()

    def _scanned(self, where: Condition | None, reps: Collection[Rep]) -> Iterator[Record]:
        points, start = self._engine.scroll(where, reps, None, _page(reps))
        yield from (_record(point, reps) for point in points)
        while start is not None:
            points, start = self._engine.scroll(where, reps, start, _page(reps))
            yield from (_record(point, reps) for point in points)


@dataclass(frozen=True, slots=True)
class _Searcher:
    """What `m3kit.ranking` asks of an engine."""

    points: Points
    engine: Engine
    query: M3Output
    where: Condition | None

    def nearest(self, reps: Collection[Rep], limit: int) -> Mapping[Rep, Ranking]:
        return ranking.nearest(self._best, reps, limit)

    def scores(self, wanted: Mapping[Rep, Sequence[str]]) -> Mapping[Rep, Mapping[str, float]]:
        asked = [
            Ask(rep, self.query, _has(ids), len(ids), exact=True) for rep, ids in wanted.items()
        ]
        return dict(zip(wanted, map(dict, self.engine.query(asked)), strict=True))

    def documents(self, ids: Sequence[str]) -> Mapping[str, Document]:
        return {id_: record.document for id_, record in self.points.read(ids, ()).items()}

    def _best(self, sizes: Mapping[Rep, int]) -> Mapping[Rep, Ranking]:
        asked = [Ask(rep, self.query, self.where, size) for rep, size in sizes.items()]
        answers = self.engine.query(asked)
        return {rep: by_score(answer) for rep, answer in zip(sizes, answers, strict=True)}


def _record(point: Stored, reps: Collection[Rep]) -> Record:
    output = to_output(point.vector, reps) if reps else M3Output()
    return Record(to_document(point.payload or {}), output)


def _where(where: Filter | None) -> Condition | None:
    return None if where is None else to_qdrant(where)


def _has(ids: Sequence[str]) -> Condition:
    return {"has_id": [point_id(id_) for id_ in ids]}


def _page(reps: Collection[Rep]) -> int:
    return _PAGE_OF_COLBERT if "colbert" in reps else _PAGE


def _check_limits(point: Point, tokens: int, colbert_limit: int | None) -> None:
    id_, output = point.payload["id"], point.output
    if output.sparse is not None and len(output.sparse) and output.sparse.ids[-1] >= tokens:
        raise DocumentError(
            f"document {id_!r} has the token {output.sparse.ids[-1]}, and Qdrant's ids of tokens "
            f"are below {tokens}"
        )
    if output.colbert is not None and colbert_limit and output.colbert.size >= colbert_limit:
        raise DocumentError(
            f"document {id_!r} has {output.colbert.size} numbers of ColBERT vectors, and a Qdrant "
            f"server holds fewer than {colbert_limit} of one document; split its text"
        )
