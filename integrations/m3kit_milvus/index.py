"""`MilvusIndex`: one collection behind `pymilvus`, in Milvus Lite or on a server."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from pymilvus import MilvusClient

from m3kit.batches import batched, chunked
from m3kit.filters import Filter
from m3kit.fusion import Ranking, by_score
from m3kit.index import (
    Closing,
    DocumentError,
    RepError,
    Search,
    check_records,
    check_reps,
    check_search,
)
from m3kit.ranking import rank, to_hits
from m3kit.records import Hit, Record
from m3kit.scoring import carried, scores
from m3kit.stamp import Stamp
from m3kit.vectors import M3Output, Rep, Sparse
from m3kit_milvus.collection import NO_TOKEN, Row, Rows, to_output, to_vectors
from m3kit_milvus.filters import has, to_milvus
from m3kit_milvus.payload import key, to_document, to_row

HELD: tuple[Rep, ...] = ("dense", "sparse")
"""What a collection can hold."""

_BATCH_ROWS = 500
_BATCH_BYTES = 16 * 2**20
"""What is written at once; a server takes messages of 64 MB, Milvus Lite 2.5 few rows at a time."""

_PAGE = 256

_MOST = 16_384
"""How many hits a server gives; who wants more has every document scored here."""

_SLACK = 8
"""How many more than asked for are fetched, so that ties at the cut are seen."""

_NOISE = 1e-6
"""How far, relatively, an engine's score may be from the exact one."""


class MilvusIndex:
    """
    An index in a collection; the client stays the caller's.

    It holds dense and sparse vectors, both searched exactly; `m3kit.Rescored` adds ColBERT. The
    caller may replace the dense index by an approximate one of metric IP, by his client. Milvus
    holds 65,535 bytes of a text. Threads may share an index, in Milvus Lite one after the other.

    Args:
        client: A connected client.
        collection: Its name. A new one is made.
        dim: The width of the vectors. None opens only what exists.
        reps: What a new index holds; an existing one knows it.
        model: What makes the vectors, as `Encoder.model` says. A new index keeps it, an existing
            one is checked against it.
        timeout: How many seconds each call to Milvus may take.

    Raises:
        RepError: If a new index is to hold ColBERT vectors.
        NoIndexError: If there is none and no `dim`, or others made the collection.
        ModelMismatchError: If it was made by another model or with another width.
    """

    def __init__(
        self,
        client: MilvusClient,
        collection: str,
        *,
        dim: int | None,
        reps: Collection[Rep] = HELD,
        model: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        what = f"the collection {collection!r}"
        self._rows = Rows(client, collection, timeout)
        self._stamp = self._rows.open(lambda: _new(dim, reps, model, what), what)
        self._stamp.check(dim, model, what)
        self._collection = collection

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._collection!r}, {self._stamp})"

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
        rows = [self._row(record) for record in checked]
        for some in chunked(rows, size=_nbytes, budget=_BATCH_BYTES):
            for batch in batched(some, _BATCH_ROWS):
                self._rows.write(batch)

    def search(self, search: Search, /) -> list[Hit]:
        """Rank by exact scores; see `HybridIndex.search`."""
        check_search(search, reps=self.reps, dim=self._stamp.dim)
        ranked = rank(_Scorer(self._rows, _known(search.query), self._where(search.where)), search)
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
        return self._scanned(self._where(where), reps)

    def delete(self, ids: Sequence[str], /) -> None:
        """Forget these ids; see `HybridIndex.delete`."""
        for some in batched(ids, _PAGE):
            self._rows.delete(has(some))

    def delete_where(self, where: Filter, /) -> None:
        """Forget what matches; see `HybridIndex.delete_where`."""
        self._rows.delete(self._where(where))

    def count(self, where: Filter | None = None, /) -> int:
        """Count what matches; see `HybridIndex.count`."""
        return self._rows.count(self._where(where))

    def flush(self) -> None:
        """Return when what was written is durable; see `HybridIndex.flush`."""
        self._rows.flush()

    def _where(self, where: Filter | None) -> str:
        return "" if where is None else to_milvus(where, self._rows.terms_type)

    def _row(self, record: Record) -> Row:
        _check_tokens(record)
        output = record.output.only(*self.reps)
        return {**to_row(record.document, self._rows.terms_type), **to_vectors(output)}

    def _found(self, ids: Iterable[str], reps: Collection[Rep]) -> dict[str, Record]:
        keys = [key(id_) for id_ in dict.fromkeys(ids)]
        records = (_record(row, reps) for row in self._rows.read(keys, reps))
        return {record.document.id: record for record in records}

    def _scanned(self, where: str, reps: Collection[Rep]) -> Iterator[Record]:
        for some in batched(self._rows.keys(where), _PAGE):
            yield from (_record(row, reps) for row in self._rows.read(some, reps))


class OpenedMilvusIndex(MilvusIndex, Closing):
    """
    A `MilvusIndex` that owns its client: what `open_server` returns.

    Args:
        client: As in `MilvusIndex`.
        collection: As in `MilvusIndex`.
        dim: As in `MilvusIndex`.
        reps: As in `MilvusIndex`.
        model: As in `MilvusIndex`.
        held: What `close` lets go of; it passes to the index once that is open.
    """

    def __init__(
        self,
        client: MilvusClient,
        collection: str,
        *,
        dim: int | None,
        reps: Collection[Rep],
        model: str | None,
        held: ExitStack,
    ) -> None:
        super().__init__(client, collection, dim=dim, reps=reps, model=model)
        self._held = held.pop_all()

    def close(self) -> None:
        """Let go of the client and of what it stands on; a second call does nothing."""
        self._held.close()


@dataclass(frozen=True, slots=True)
class _Scorer:
    """
    What `m3kit.ranking` asks of an engine.

    The engine finds, and what it found is scored anew by `m3kit.scoring`: engines sum in orders of
    their own, in which equal vectors need not be equal to the last bit.
    """

    rows: Rows
    query: M3Output
    where: str

    def nearest(self, reps: Collection[Rep], limit: int) -> Mapping[Rep, Ranking]:
        return {rep: self._nearest(rep, limit) if self._can_find(rep) else () for rep in reps}

    def scores(self, wanted: Mapping[Rep, Sequence[str]]) -> Mapping[Rep, Mapping[str, float]]:
        return {
            rep: dict(self._read(rep, [key(id_) for id_ in ids])) if self._can_find(rep) else {}
            for rep, ids in wanted.items()
        }

    def _nearest(self, rep: Rep, limit: int) -> Ranking:
        size = limit + _SLACK
        while size <= _MOST:
            found = self.rows.nearest(rep, self.query, self.where, size)
            ranking = self._scored(rep, [(one.id, one.output) for one in found])
            if len(found) < size or found[-1].score < _below(ranking[limit - 1][1]):
                return ranking[:limit]
            size *= 2
        return self._scanned(rep, limit)

    def _scanned(self, rep: Rep, limit: int) -> Ranking:
        """Score every document that matches: for more hits than a server gives."""
        best: Ranking = []
        for some in batched(self.rows.keys(self.where), _PAGE):
            best = by_score([*best, *self._read(rep, some)])[:limit]
        return best

    def _read(self, rep: Rep, keys: Sequence[str]) -> Ranking:
        rows = self.rows.read(keys, [rep], ["id"])
        return self._scored(rep, [(row["id"], to_output(row, [rep])) for row in rows])

    def _scored(self, rep: Rep, found: Sequence[tuple[str, M3Output]]) -> Ranking:
        exact = scores(rep, self.query, [output for _, output in found]).tolist()
        pairs = zip([id_ for id_, _ in found], exact, strict=True)
        return by_score((id_, score) for id_, score in pairs if rep != "sparse" or score)

    def _can_find(self, rep: Rep) -> bool:
        """Tell whether a query has anything to say: one without a token finds nothing."""
        return rep != "sparse" or bool(len(carried(self.query.sparse, rep)))


def _new(dim: int | None, reps: Collection[Rep], model: str | None, what: str) -> Stamp:
    stamp = Stamp.new(dim, reps, model, what)
    if not stamp.reps <= set(HELD):
        raise RepError(
            "a Milvus index holds no colbert vectors; make it with reps=('dense', 'sparse'), "
            "and let m3kit.Rescored(index, encoder) add ColBERT"
        )
    return stamp


def _record(row: Row, reps: Collection[Rep]) -> Record:
    return Record(to_document(row), to_output(row, reps))


def _known(query: M3Output) -> M3Output:
    """Leave out tokens that no document can have."""
    if query.sparse is None:
        return query
    known = query.sparse.ids < NO_TOKEN
    return replace(query, sparse=Sparse(query.sparse.ids[known], query.sparse.weights[known]))


def _below(score: float) -> float:
    """Return what is below a score whichever way an engine has rounded it."""
    return score - _NOISE * max(1.0, abs(score))


def _nbytes(row: Row) -> int:
    """Return about how many bytes a row takes."""
    vectors = (row["dense"].nbytes if "dense" in row else 0) + 8 * len(row.get("sparse", ()))
    return vectors + sum(4 * len(value) for value in row.values() if isinstance(value, str))


def _check_tokens(record: Record) -> None:
    sparse = record.output.sparse
    if sparse is not None and len(sparse) and sparse.ids[-1] >= NO_TOKEN:
        raise DocumentError(
            f"document {record.document.id!r} has the token {sparse.ids[-1]}, and a Milvus "
            f"index's ids of tokens are below {NO_TOKEN}"
        )
