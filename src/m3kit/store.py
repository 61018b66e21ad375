"""An index over a vector database: what all of them do alike, around what each does its own way."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from m3kit.batches import batched
from m3kit.filters import Filter, Ids
from m3kit.index import Search, check_records, check_reps, check_search
from m3kit.ranking import Scorer, rank, to_hits
from m3kit.records import Document, Hit, Record
from m3kit.stamp import Stamp
from m3kit.vectors import M3Output, Rep, Sparse

_PAGE = 256
"""How many ids one filter names."""


class Searcher(Scorer, Protocol):
    """What a database answers about one query and one filter."""

    def documents(self, names: Sequence[str], /) -> Mapping[str, Document]:
        """Return the documents of these names that there are."""
        ...


class Store(Protocol):
    """What a vector database does, in the core's words; what reaches it has been checked."""

    @property
    def stamp(self) -> Stamp:
        """What it holds."""
        ...

    @property
    def tokens(self) -> int:
        """Ids of tokens are below this; a query's others are left out."""
        ...

    def write(self, records: Sequence[Record], /) -> None:
        """
        Write or replace records, in batches of the database's size.

        Raises:
            DocumentError: If it cannot hold one of them, before anything is written.
        """
        ...

    def searcher(self, query: M3Output, where: Filter | None, /) -> Searcher:
        """Take up a query; it may carry any of what the stamp says."""
        ...

    def read(self, ids: Sequence[str], reps: Collection[Rep], /) -> Mapping[str, Record]:
        """Read the records of these ids that there are, with `reps` of them."""
        ...

    def scan(self, where: Filter | None, reps: Collection[Rep], /) -> Iterator[Record]:
        """Stream every record that matches."""
        ...

    def delete(self, where: Filter, /) -> None:
        """Forget what matches."""
        ...

    def count(self, where: Filter | None, /) -> int:
        """Count what matches."""
        ...

    def flush(self) -> None:
        """Return when what was written is durable and searchable."""
        ...


class StoreIndex:
    """
    A `HybridIndex` over a store.

    Args:
        store: The database behind it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def reps(self) -> frozenset[Rep]:
        """The representations it holds."""
        return self._store.stamp.reps

    @property
    def model(self) -> str | None:
        """What made the vectors, where the index was told."""
        return self._store.stamp.model

    def upsert(self, records: Sequence[Record], /) -> None:
        """
        Write records; see `HybridIndex.upsert`.

        They are written in batches of a few MiB. If the engine fails at one of them, those before
        it stay.
        """
        checked = check_records(records, reps=self.reps, dim=self._store.stamp.dim)
        self._store.write([Record(one.document, one.output.only(*self.reps)) for one in checked])

    def search(self, search: Search, /) -> list[Hit]:
        """Rank by the engine's answers; see `HybridIndex.search`."""
        check_search(search, reps=self.reps, dim=self._store.stamp.dim)
        able = replace(search, query=_below(search.query, self._store.tokens))
        searcher = self._store.searcher(able.query, able.where)
        ranked = rank(searcher, able)
        return to_hits(ranked, searcher.documents([one.name for one in ranked]), search)

    def get(self, ids: Sequence[str], /, reps: Collection[Rep] = ()) -> list[Record]:
        """Return records in the order asked; see `HybridIndex.get`."""
        check_reps(reps, held=self.reps)
        found = self._store.read(ids, reps)
        return [found[id_] for id_ in ids if id_ in found]

    def scan(self, where: Filter | None = None, /, reps: Collection[Rep] = ()) -> Iterator[Record]:
        """Stream what matches, page by page; see `HybridIndex.scan`."""
        check_reps(reps, held=self.reps)
        return self._store.scan(where, reps)

    def delete(self, ids: Sequence[str], /) -> None:
        """Forget these ids; see `HybridIndex.delete`."""
        for some in batched(ids, _PAGE):
            self._store.delete(Ids(tuple(some)))

    def delete_where(self, where: Filter, /) -> None:
        """Forget what matches; see `HybridIndex.delete_where`."""
        self._store.delete(where)

    def count(self, where: Filter | None = None, /) -> int:
        """Count what matches; see `HybridIndex.count`."""
        return self._store.count(where)

    def flush(self) -> None:
        """Return when what was written is durable; see `HybridIndex.flush`."""
        self._store.flush()


def _below(query: M3Output, tokens: int) -> M3Output:
    """Leave out tokens that no document of the database can have."""
    if query.sparse is None:
        return query
    known = query.sparse.ids < tokens
    if known.all():
        return query
    return replace(query, sparse=Sparse(query.sparse.ids[known], query.sparse.weights[known]))
