"""One query plan for both of Qdrant's engines: what `EdgeIndex` and `QdrantIndex` share."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from m3kit.batches import batched, chunked
from m3kit.filters import Filter
from m3kit.fusion import Ranking, by_score
from m3kit.index import DocumentError, Search, check_records, check_reps, check_search
from m3kit.ranking import rank, to_hits
from m3kit.records import Hit, Record
from m3kit.scoring import carried
from m3kit.stamp import Stamp
from m3kit.vectors import M3Output, Rep, Sparse
from m3kit_qdrant.engine import Ask, Engine, Point, Stored, to_output
from m3kit_qdrant.filters import Condition, to_qdrant
from m3kit_qdrant.payload import point_id, to_document, to_payload

_BATCH = 4 * 2**20
"""Bytes that are written at once; as JSON some 22 MB, where a server takes 32."""

_PAGE = 256
_PAGE_OF_COLBERT = 16
_SLACK = 8
"""How many more than asked for are fetched, so that ties at the cut are seen."""

_TOKENS = 2**32
"""The engines' token ids are below this."""


class EngineIndex:
    """A `HybridIndex` over the points of an engine."""

    def __init__(self, engine: Engine, stamp: Stamp) -> None:
        self._engine = engine
        self._stamp = stamp

    @property
    def reps(self) -> frozenset[Rep]:
        """The representations it holds."""
        return self._stamp.reps

    @property
    def model(self) -> str | None:
        """What made the vectors, where the index was told."""
        return self._stamp.model

    def upsert(self, records: Sequence[Record], /) -> None:
        """
        Write records; see `HybridIndex.upsert`.

        They are written in batches of a few MiB. If the engine fails at one of them, those before
        it stay.
        """
        checked = check_records(records, reps=self.reps, dim=self._stamp.dim)
        points = [Point(one.output.only(*self.reps), to_payload(one.document)) for one in checked]
        for point in points:
            _check_limits(point, self._engine.colbert_limit)
        for batch in chunked(points, size=lambda point: point.nbytes, budget=_BATCH):
            self._engine.write(batch)

    def search(self, search: Search, /) -> list[Hit]:
        """Rank by the engine's scores; see `HybridIndex.search`."""
        check_search(search, reps=self.reps, dim=self._stamp.dim)
        ranked = rank(_Scorer(self._engine, _known(search.query), _where(search.where)), search)
        found = self._found([one.id for one in ranked], ())
        return to_hits(ranked, {id_: record.document for id_, record in found.items()}, search)

    def get(self, ids: Sequence[str], /, reps: Collection[Rep] = ()) -> list[Record]:
        """Return records in the order asked; see `HybridIndex.get`."""
        check_reps(reps, held=self.reps)
        found = self._found(ids, reps)
        return [found[id_] for id_ in ids if id_ in found]

    def scan(self, where: Filter | None = None, /, reps: Collection[Rep] = ()) -> Iterator[Record]:
        """Stream what matches, page by page; see `HybridIndex.scan`."""
        check_reps(reps, held=self.reps)
        return self._scanned(_where(where), reps)

    def delete(self, ids: Sequence[str], /) -> None:
        """Forget these ids; see `HybridIndex.delete`."""
        for some in batched(ids, _PAGE):
            self._engine.delete(_has(some))

    def delete_where(self, where: Filter, /) -> None:
        """Forget what matches; see `HybridIndex.delete_where`."""
        self._engine.delete(to_qdrant(where))

    def count(self, where: Filter | None = None, /) -> int:
        """Count what matches; see `HybridIndex.count`."""
        return self._engine.count(_where(where))

    def flush(self) -> None:
        """Return when what was written is durable; see `HybridIndex.flush`."""
        self._engine.flush()

    def _found(self, ids: Sequence[str], reps: Collection[Rep]) -> dict[str, Record]:
        records = (
            _record(point, reps)
            for some in batched(dict.fromkeys(ids), _page(reps))
            for point in self._engine.retrieve([point_id(id_) for id_ in some], reps)
        )
        return {record.document.id: record for record in records}

    def _scanned(self, where: Condition | None, reps: Collection[Rep]) -> Iterator[Record]:
        points, start = self._engine.scroll(where, reps, None, _page(reps))
        yield from (_record(point, reps) for point in points)
        while start is not None:
            points, start = self._engine.scroll(where, reps, start, _page(reps))
            yield from (_record(point, reps) for point in points)


@dataclass(frozen=True, slots=True)
class _Scorer:
    """What `m3kit.ranking` asks of an engine."""

    engine: Engine
    query: M3Output
    where: Condition | None

    def nearest(self, reps: Collection[Rep], limit: int) -> Mapping[Rep, Ranking]:
        found: dict[Rep, Ranking] = dict.fromkeys(reps, ())
        sizes = dict.fromkeys(filter(self._can_find, reps), limit + _SLACK)
        while sizes:
            asked = [Ask(rep, self.query, self.where, size) for rep, size in sizes.items()]
            found |= zip(sizes, self.engine.query(asked), strict=True)
            sizes = {
                rep: 2 * size
                for rep, size in sizes.items()
                if len(found[rep]) == size and found[rep][-1][1] == found[rep][limit - 1][1]
            }
        return {rep: by_score(ranking)[:limit] for rep, ranking in found.items()}

    def scores(self, wanted: Mapping[Rep, Sequence[str]]) -> Mapping[Rep, Mapping[str, float]]:
        able = {rep: ids for rep, ids in wanted.items() if self._can_find(rep)}
        asked = [Ask(rep, self.query, _has(ids), len(ids), exact=True) for rep, ids in able.items()]
        answers = self.engine.query(asked) if asked else []
        scores = dict(zip(able, map(dict, answers), strict=True))
        return {rep: scores.get(rep, {}) for rep in wanted}

    def _can_find(self, rep: Rep) -> bool:
        """Tell whether a query has anything to say: one without a token finds nothing."""
        return rep != "sparse" or bool(len(carried(self.query.sparse, rep)))


def _record(point: Stored, reps: Collection[Rep]) -> Record:
    output = to_output(point.vector, reps) if reps else M3Output()
    return Record(to_document(point.payload or {}), output)


def _where(where: Filter | None) -> Condition | None:
    return None if where is None else to_qdrant(where)


def _has(ids: Sequence[str]) -> Condition:
    return {"has_id": [point_id(id_) for id_ in ids]}


def _known(query: M3Output) -> M3Output:
    """Leave out tokens that no document can have."""
    if query.sparse is None:
        return query
    known = query.sparse.ids < _TOKENS
    return replace(query, sparse=Sparse(query.sparse.ids[known], query.sparse.weights[known]))


def _page(reps: Collection[Rep]) -> int:
    return _PAGE_OF_COLBERT if "colbert" in reps else _PAGE


def _check_limits(point: Point, colbert_limit: int | None) -> None:
    id_, output = point.payload["id"], point.output
    if output.sparse is not None and len(output.sparse) and output.sparse.ids[-1] >= _TOKENS:
        raise DocumentError(
            f"document {id_!r} has the token {output.sparse.ids[-1]}, and Qdrant's ids of tokens "
            f"are below {_TOKENS}"
        )
    if output.colbert is not None and colbert_limit and output.colbert.size >= colbert_limit:
        raise DocumentError(
            f"document {id_!r} has {output.colbert.size} numbers of ColBERT vectors, and a Qdrant "
            f"server holds fewer than {colbert_limit} of one document; split its text"
        )
