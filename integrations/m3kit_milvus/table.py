"""The rows of a collection, as `m3kit.adapters.store` asks for them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise

from m3kit._batching import batched, chunked
from m3kit.adapters import ranking
from m3kit.filters import Filter, matches
from m3kit.fusion import Ranking, by_score
from m3kit.records import Document, Record
from m3kit.scoring import scores
from m3kit.vectors import M3Output, Rep
from m3kit_milvus.collection import Rows
from m3kit_milvus.columns import NO_TOKEN, nbytes, to_output, to_query, to_score
from m3kit_milvus.layout import Key, Layout, Row
from m3kit_milvus.options import is_rough

_BATCH_ROWS = 500
_BATCH_BYTES = 16 * 2**20
"""What is written at once; a server takes messages of 64 MB, Milvus Lite 2.5 few rows at a time."""

_PAGE = 256

_MOST = 16_384
"""How many hits a server gives; who wants more has every document scored here."""

_MOST_READ = 10_000
"""How many documents a filter may name that only they themselves can tell."""

_NOISE = 1e-6
"""How far, relatively, an engine's score may be from the exact one."""

_TIE = 5e-7
"""How far apart, relatively, two scores of equal vectors may be: some roundings of float32."""


class Table:
    """
    The rows of a collection, as an `m3kit.adapters.store.Store`.

    Args:
        rows: Who holds them.
        layout: What is where in them.
    """

    tokens = NO_TOKEN

    def __init__(self, rows: Rows, layout: Layout) -> None:
        self._rows = rows
        self._layout = layout
        self.manifest = layout.manifest

    def write(self, records: Sequence[Record], /) -> None:
        """Write records, batch by batch; see `Store.write`."""
        self._layout.check_writable()
        rows = [self._layout.to_row(record) for record in records]
        for some in chunked(rows, size=nbytes, budget=_BATCH_BYTES):
            for batch in batched(some, _BATCH_ROWS):
                self._rows.write(batch)

    def searcher(self, query: M3Output, where: Filter | None, /) -> _Searcher:
        """Take up a query; see `Store.searcher`."""
        return _Searcher(self, self._rows, self._layout, query, self._where(where))

    def read(self, ids: Sequence[str], reps: Collection[Rep], /) -> dict[str, Record]:
        """Read records; see `Store.read`."""
        records = self._records(self._layout.keys(ids), reps)
        return {record.document.id: record for record in records}

    def scan(self, where: Filter | None, reps: Collection[Rep], /) -> Iterator[Record]:
        """Stream what matches, page by page; see `Store.scan`."""
        said = None if where is None else self._layout.say(where)
        found = self._scanned("" if said is None else said.text, reps)
        if where is None or said is None or said.exact:
            return found
        return (record for record in found if matches(where, record.document))

    def delete(self, where: Filter, /) -> None:
        """Forget what matches; see `Store.delete`."""
        said = self._layout.say(where)
        if said.exact:
            self._rows.delete(said.text)
            return
        for some in batched(self._layout.keys(self._read_ids(where)), _PAGE):
            self._rows.delete(self._layout.has(some))

    def count(self, where: Filter | None, /) -> int:
        """Count what matches; see `Store.count`."""
        if where is None:
            return self._rows.count("")
        said = self._layout.say(where)
        return self._rows.count(said.text) if said.exact else len(self._read_ids(where))

    def flush(self) -> None:
        """Return when what was written is durable; see `Store.flush`."""
        self._rows.flush()

    def _where(self, where: Filter | None) -> str:
        """Say a filter to a search; where words keep too much, name the documents themselves."""
        if where is None:
            return ""
        said = self._layout.say(where)
        if said.exact:
            return said.text
        ids = self._read_ids(where)
        if len(ids) > _MOST_READ:
            raise ValueError(
                f"Milvus cannot say {where} of this collection's own fields, and {len(ids)} "
                f"documents match, more than the {_MOST_READ} that a search can name; narrow the "
                "filter, or copy the documents into a new index, which keeps what filters need"
            )
        return self._layout.has(self._layout.keys(ids))

    def _read_ids(self, where: Filter) -> list[str]:
        rows = self._rows.stream(self._layout.say(where).text, self._layout.document_fields)
        documents = (self._layout.to_document(row) for row in rows)
        return [document.id for document in documents if matches(where, document)]

    def _records(self, keys: Sequence[Key], reps: Collection[Rep]) -> Iterator[Record]:
        vectors = [self._layout.columns[rep].field for rep in reps]
        for row in self._rows.read(keys, [*self._layout.document_fields, *vectors]):
            yield Record(self._layout.to_document(row), self._output(row, reps))

    def _scanned(self, where: str, reps: Collection[Rep]) -> Iterator[Record]:
        for some in batched(self._rows.keys(where), _PAGE):
            yield from self._records(some, reps)

    def _output(self, row: Row, reps: Collection[Rep]) -> M3Output:
        return to_output(row, self._layout.columns, reps, self.manifest.colbert.dtype)


class _Searcher(ranking.Scorer):
    """
    What `m3kit.adapters.ranking` asks of an engine.

    The engine finds and scores. What may tie is scored anew by `m3kit.scoring`: engines sum in
    orders of their own, in which equal vectors need not be equal to the last bit. So is all that
    an index of something less than the vectors has scored.

    Args:
        table: What reads records.
        rows: Who holds them.
        layout: What is where in them.
        query: What is sought.
        where: What is kept, in Milvus's words.
    """

    def __init__(
        self, table: Table, rows: Rows, layout: Layout, query: M3Output, where: str
    ) -> None:
        self._table = table
        self._rows = rows
        self._layout = layout
        self._query = query
        self._where = where
        self._seen: dict[str, Document] = {}

    def nearest(self, reps: Collection[Rep], limit: int) -> Mapping[Rep, Ranking]:
        def best(sizes: Mapping[Rep, int]) -> Mapping[Rep, Ranking]:
            return {
                rep: self._found(rep, size) if size <= _MOST else self._scanned(rep, limit)
                for rep, size in sizes.items()
            }

        return ranking.nearest(best, reps, limit, ids=self.ids, noise=_NOISE)

    def scores(self, wanted: Mapping[Rep, Sequence[str]]) -> Mapping[Rep, Mapping[str, float]]:
        return {
            rep: self._maxsims(ids) if rep == "colbert" else dict(self._exact(rep, ids))
            for rep, ids in wanted.items()
        }

    def documents(self, ids: Sequence[str], /) -> Mapping[str, Document]:
        unseen = [id_ for id_ in ids if id_ not in self._seen]
        read = self._table.read(unseen, ()) if unseen else {}
        return {**self._seen, **{id_: record.document for id_, record in read.items()}}

    def _found(self, rep: Rep, size: int) -> Ranking:
        """Find by the engine; a query of one representation brings its documents along."""
        if len(self._query.reps) > 1:
            return self._asked(rep, self._where, size, [self._layout.id_field])
        return self._asked(rep, self._where, size, self._layout.document_fields, seen=self._seen)

    def _asked(
        self,
        rep: Rep,
        where: str,
        size: int,
        fields: Sequence[str],
        *,
        seen: dict[str, Document] | None = None,
    ) -> Ranking:
        """Ask the engine, and score anew what it leaves unsure; `seen` takes the documents."""
        column, colbert = self._layout.columns[rep], self._table.manifest.colbert.dtype
        vector = to_query(self._query, rep, colbert)
        rows = self._rows.nearest(column, vector, where, size, fields)
        if seen is not None:
            seen |= {one.id: one for one in (self._layout.to_document(row) for _, row in rows)}
        found = by_score(
            (
                str(row[self._layout.id_field]),
                to_score(distance, column.metric, self._query, colbert),
            )
            for distance, row in rows
        )
        rough = is_rough(column.index, column.search)
        unsure = [id_ for id_, _ in found] if rough else _tied(found)
        anew = dict(self._exact(rep, unsure)) if unsure else {}
        scored = [(id_, anew.get(id_, score)) for id_, score in found]
        return [pair for pair in scored if rep != "sparse" or pair[1] > 0]

    def _maxsims(self, ids: Sequence[str]) -> Mapping[str, float]:
        """Score by the engine, which reads the many vectors where they are; the rest here."""
        where = self._layout.has(self._layout.keys(ids))
        found = dict(self._asked("colbert", where, len(ids), [self._layout.id_field]))
        missed = [id_ for id_ in ids if id_ not in found]
        return {**found, **dict(self._exact("colbert", missed) if missed else ())}

    def _scanned(self, rep: Rep, limit: int) -> Ranking:
        """Score every document that matches: for more hits than a server gives."""
        best: Ranking = []
        for some in batched(self._rows.keys(self._where), _PAGE):
            best = by_score([*best, *self._scored(rep, some)])[:limit]
        return best

    def _exact(self, rep: Rep, ids: Sequence[str]) -> Ranking:
        return self._scored(rep, self._layout.keys(ids))

    def _scored(self, rep: Rep, keys: Sequence[Key]) -> Ranking:
        fields = [self._layout.id_field, self._layout.columns[rep].field]
        rows = [*self._rows.read(keys, fields)]
        outputs = [self._table._output(row, [rep]) for row in rows]  # noqa: SLF001  # its own half
        exact = scores(rep, self._query, outputs).tolist()
        ids = [str(row[self._layout.id_field]) for row in rows]
        scored = zip(ids, exact, strict=True)
        return [(id_, score) for id_, score in scored if rep != "sparse" or score]


def _tied(found: Ranking) -> list[str]:
    """Name those whose scores are too near to another's to tell which is higher."""
    near = {
        id_
        for (first, high), (second, low) in pairwise(found)
        if high - low <= _TIE * max(1.0, abs(high))
        for id_ in (first, second)
    }
    return [id_ for id_, _ in found if id_ in near]
