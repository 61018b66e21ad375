"""The rows of a collection, as `m3kit.store` asks for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from m3kit import ranking
from m3kit.batches import batched, chunked
from m3kit.filters import Filter
from m3kit.fusion import Ranking, by_score
from m3kit.index import DocumentError
from m3kit.records import Document, Record
from m3kit.scoring import scores
from m3kit.stamp import Stamp
from m3kit.vectors import M3Output, Rep
from m3kit_milvus.collection import NO_TOKEN, Row, Rows, to_output, to_vectors
from m3kit_milvus.filters import to_milvus
from m3kit_milvus.payload import key, to_document, to_row

_BATCH_ROWS = 500
_BATCH_BYTES = 16 * 2**20
"""What is written at once; a server takes messages of 64 MB, Milvus Lite 2.5 few rows at a time."""

_PAGE = 256

_MOST = 16_384
"""How many hits a server gives; who wants more has every document scored here."""

_NOISE = 1e-6
"""How far, relatively, an engine's score may be from the exact one."""


class Table:
    """
    The rows of a collection, as an `m3kit.store.Store`.

    Args:
        rows: Who holds them.
        stamp: What they are.
    """

    tokens = NO_TOKEN

    def __init__(self, rows: Rows, stamp: Stamp) -> None:
        self._rows = rows
        self.stamp = stamp

    def write(self, records: Sequence[Record], /) -> None:
        """Write records, batch by batch; see `Store.write`."""
        rows = [self._row(record) for record in records]
        for some in chunked(rows, size=_nbytes, budget=_BATCH_BYTES):
            for batch in batched(some, _BATCH_ROWS):
                self._rows.write(batch)

    def searcher(self, query: M3Output, where: Filter | None, /) -> _Searcher:
        """Take up a query; see `Store.searcher`."""
        return _Searcher(self, self._rows, query, self._where(where))

    def read(self, ids: Sequence[str], reps: Collection[Rep], /) -> dict[str, Record]:
        """Read records; see `Store.read`."""
        keys = [key(id_) for id_ in dict.fromkeys(ids)]
        records = (_record(row, reps) for row in self._rows.read(keys, reps))
        return {record.document.id: record for record in records}

    def scan(self, where: Filter | None, reps: Collection[Rep], /) -> Iterator[Record]:
        """Stream what matches, page by page; see `Store.scan`."""
        return self._scanned(self._where(where), reps)

    def delete(self, where: Filter, /) -> None:
        """Forget what matches; see `Store.delete`."""
        self._rows.delete(self._where(where))

    def count(self, where: Filter | None, /) -> int:
        """Count what matches; see `Store.count`."""
        return self._rows.count(self._where(where))

    def flush(self) -> None:
        """Return when what was written is durable; see `Store.flush`."""
        self._rows.flush()

    def _where(self, where: Filter | None) -> str:
        return "" if where is None else to_milvus(where, self._rows.terms_type)

    def _row(self, record: Record) -> Row:
        _check_tokens(record)
        return {**to_row(record.document, self._rows.terms_type), **to_vectors(record.output)}

    def _scanned(self, where: str, reps: Collection[Rep]) -> Iterator[Record]:
        for some in batched(self._rows.keys(where), _PAGE):
            yield from (_record(row, reps) for row in self._rows.read(some, reps))


@dataclass(frozen=True, slots=True)
class _Searcher:
    """
    What `m3kit.ranking` asks of an engine.

    The engine finds, and what it found is scored anew by `m3kit.scoring`: engines sum in orders of
    their own, in which equal vectors need not be equal to the last bit.
    """

    table: Table
    rows: Rows
    query: M3Output
    where: str

    def nearest(self, reps: Collection[Rep], limit: int) -> Mapping[Rep, Ranking]:
        def best(sizes: Mapping[Rep, int]) -> Mapping[Rep, Ranking]:
            return {
                rep: self._found(rep, size) if size <= _MOST else self._scanned(rep, limit)
                for rep, size in sizes.items()
            }

        return ranking.nearest(best, reps, limit, noise=_NOISE)

    def scores(self, wanted: Mapping[Rep, Sequence[str]]) -> Mapping[Rep, Mapping[str, float]]:
        return {rep: dict(self._read(rep, map(key, ids))) for rep, ids in wanted.items()}

    def documents(self, ids: Sequence[str]) -> Mapping[str, Document]:
        return {id_: record.document for id_, record in self.table.read(ids, ()).items()}

    def _found(self, rep: Rep, size: int) -> Ranking:
        found = self.rows.nearest(rep, self.query, self.where, size)
        return self._scored(rep, [(one.id, one.output) for one in found])

    def _scanned(self, rep: Rep, limit: int) -> Ranking:
        """Score every document that matches: for more hits than a server gives."""
        best: Ranking = []
        for some in batched(self.rows.keys(self.where), _PAGE):
            best = by_score([*best, *self._read(rep, some)])[:limit]
        return best

    def _read(self, rep: Rep, keys: Iterable[str]) -> Ranking:
        rows = self.rows.read([*keys], [rep], ["id"])
        return self._scored(rep, [(row["id"], to_output(row, [rep])) for row in rows])

    def _scored(self, rep: Rep, found: Sequence[tuple[str, M3Output]]) -> Ranking:
        exact = scores(rep, self.query, [output for _, output in found]).tolist()
        pairs = zip([id_ for id_, _ in found], exact, strict=True)
        return by_score((id_, score) for id_, score in pairs if rep != "sparse" or score)


def _record(row: Row, reps: Collection[Rep]) -> Record:
    return Record(to_document(row), to_output(row, reps))


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
