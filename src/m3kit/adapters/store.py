"""An index over a vector database: what all of them do alike, around what each does its own way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, Protocol, TypeVar

from m3kit._batching import batched
from m3kit.adapters.closing import not_picklable
from m3kit.adapters.filter_translation import FilterExpression
from m3kit.adapters.manifest import Manifest
from m3kit.adapters.ranking import Scorer, rank, to_hits
from m3kit.filters import Filter, Ids, check_filter, matches
from m3kit.index import (
    DocumentError,
    Search,
    TellsTransient,
    check_ids,
    check_records,
    check_reps,
    check_search,
)
from m3kit.records import Document, Hit, Record
from m3kit.vectors import M3Output, Rep, Sparse

PAGE = 256
"""How many ids one filter names, and how many documents one request reads."""

_COLBERT_PAGE = 16

_T = TypeVar("_T")


class Searcher(Scorer, Protocol):
    """What a database answers about one query and one filter."""

    def documents(self, names: Sequence[str], /) -> Mapping[str, Document]:
        """Return the documents of these names that there are."""
        ...

    def answer(self, search: Search, /) -> list[Hit] | None:  # noqa: ARG002  # for those who do
        """
        Answer the whole search, as `HybridIndex.search` does; None to have it ranked here.

        An engine that can rank or fuse as `m3kit` does overrides this. It is called where the
        filter's expression is exact and nothing is grouped.
        """
        return None


class Store(Protocol[_T]):
    """
    What a vector database does, in the core's words; what reaches it has been checked.

    Filters reach it as what its own `translate` returned.
    """

    @property
    def manifest(self) -> Manifest:
        """What it holds."""
        ...

    @property
    def token_id_limit(self) -> int:
        """Token ids are below this; a query's others are left out, a document's are refused."""
        ...

    def check(self, document: Document, /) -> None:
        """
        Check what can be checked of a document before it is encoded.

        Raises:
            DocumentError: If the database cannot hold it.
        """
        ...

    def write(self, records: Sequence[Record], /) -> None:
        """
        Write or replace records, in batches of the database's size.

        ColBERT vectors are what is stored of them; see `ColbertStorage.stored`.

        Raises:
            DocumentError: If it cannot hold one of them, before anything is written. Tokens have
                been checked.
        """
        ...

    def translate(self, where: Filter, /) -> FilterExpression[_T]:
        """
        Translate a filter; see `m3kit.adapters.filter_translation`. `Ids` is always exact.

        Raises:
            ValueError: If it nests too deep for the engine.
        """
        ...

    def prepare_search(self, search: Search, where: _T | None, /) -> Searcher:
        """
        Prepare a search.

        Args:
            search: The request. Its query carries some of the manifest's representations; its
                fusion, `k` and `candidates` tell what will be asked for.
            where: The expression of its filter, which stands for `search.where`.
        """
        ...

    def read(self, ids: Sequence[str], reps: Collection[Rep], /) -> Mapping[str, Record]:
        """Read the records of these ids that there are, with `reps` of them."""
        ...

    def scan(self, where: _T | None, reps: Collection[Rep], /) -> Iterator[Record]:
        """Stream every record that `where` keeps, or more: each is held against the filter."""
        ...

    def delete(self, where: _T, /) -> None:
        """Delete the documents that `where` keeps."""
        ...

    def count(self, where: _T | None, /) -> int:
        """Count the documents that `where` keeps."""
        ...

    def flush(self) -> None:
        """Return when what was written is durable and searchable."""
        ...


class StoreIndex(Generic[_T]):
    """
    A `HybridIndex` over a store.

    Where a store's translation of a filter is inexact, what it keeps is read and verified here, so
    that every store answers, counts and deletes exactly what `m3kit.matches` keeps.

    Args:
        store: The database behind it.
    """

    def __init__(self, store: Store[_T]) -> None:
        self._store = store

    @property
    def reps(self) -> frozenset[Rep]:
        """The representations it holds."""
        return self._store.manifest.reps

    @property
    def model(self) -> str | None:
        """What made the vectors, where the index was told."""
        return self._store.manifest.model

    @property
    def manifest(self) -> Manifest:
        """What the index records about itself."""
        return self._store.manifest

    def is_transient(self, error: Exception, /) -> bool:
        """Tell whether the same call may succeed later; see `TellsTransient`."""
        store = self._store
        if isinstance(store, TellsTransient):
            return store.is_transient(error)
        return isinstance(error, ConnectionError | TimeoutError)

    def check_document(self, document: Document, /) -> None:
        """Check that the database can hold a document; see `ChecksDocuments`."""
        self._store.check(document)

    def upsert(self, records: Sequence[Record], /) -> None:
        """Write records, in batches of a few MiB; see `HybridIndex.upsert`."""
        manifest = self._store.manifest
        checked = check_records(records, reps=manifest.reps, dim=manifest.dim)
        outputs = (record.output.only(*manifest.reps) for record in checked)
        stored = [
            Record(record.document, manifest.colbert.stored_output(output))
            for record, output in zip(checked, outputs, strict=True)
        ]
        _check_tokens(stored, self._store.token_id_limit)
        self._store.write(stored)

    def search(self, search: Search, /) -> list[Hit]:
        """Rank by the engine's answers; see `HybridIndex.search`."""
        check_search(search, reps=self.reps, dim=self._store.manifest.dim)
        query = _below(search.query, self._store.token_id_limit)
        if query is not search.query:
            search = replace(search, query=query)
        where = None if search.where is None else self._store.translate(search.where)
        expression = None if where is None else where.expression
        searcher = self._store.prepare_search(search, expression)
        verify = None if where is None or where.exact else _verifier(searcher, search.where)
        if verify is None and search.group_by is None:
            hits = searcher.answer(search)
            if hits is not None:
                return hits
        ranked = rank(searcher, search, verify=verify)
        return to_hits(ranked, searcher.documents([hit.name for hit in ranked]), search)

    def get(self, ids: Sequence[str], /, reps: Collection[Rep] = ()) -> list[Record]:
        """Return records in the order asked; see `HybridIndex.get`."""
        ids = check_ids(ids)
        check_reps(reps, available=self.reps)
        records = self._store.read(ids, reps)
        return [records[id_] for id_ in ids if id_ in records]

    def scan(self, where: Filter | None = None, /, reps: Collection[Rep] = ()) -> Iterator[Record]:
        """Stream what matches, page by page; see `HybridIndex.scan`."""
        check_reps(reps, available=self.reps)
        if where is None:
            return self._store.scan(None, reps)
        check_filter(where)
        records = self._store.scan(self._store.translate(where).expression, reps)
        return (record for record in records if matches(where, record.document))

    def delete(self, ids: Sequence[str], /) -> None:
        """Delete the documents of these ids; see `HybridIndex.delete`."""
        for page in batched(check_ids(ids), PAGE):
            self.delete_where(Ids(tuple(page)))

    def delete_where(self, where: Filter, /) -> None:
        """Delete what matches; see `HybridIndex.delete_where`."""
        check_filter(where)
        translated = self._store.translate(where)
        if translated.exact:
            self._store.delete(translated.expression)
            return
        ids = [record.document.id for record in self.scan(where)]
        for page in batched(ids, PAGE):
            self._store.delete(self._store.translate(Ids(tuple(page))).expression)

    def count(self, where: Filter | None = None, /) -> int:
        """Count what matches; see `HybridIndex.count`."""
        if where is None:
            return self._store.count(None)
        check_filter(where)
        translated = self._store.translate(where)
        if translated.exact:
            return self._store.count(translated.expression)
        return sum(1 for _ in self.scan(where))

    def flush(self) -> None:
        """Return when what was written is durable; see `HybridIndex.flush`."""
        self._store.flush()

    def __reduce__(self) -> tuple[Any, ...]:
        raise not_picklable(self)


def page_size(reps: Collection[Rep]) -> int:
    """Return how many documents one request reads with these of their vectors."""
    return _COLBERT_PAGE if "colbert" in reps else PAGE


def _verifier(
    searcher: Searcher, where: Filter | None
) -> Callable[[Sequence[str]], Collection[str]]:
    """Return what tells which of the engine's documents the filter keeps."""

    def verify(names: Sequence[str]) -> Collection[str]:
        documents = searcher.documents(names)
        return {
            name
            for name, document in documents.items()
            if where is None or matches(where, document)
        }

    return verify


def _check_tokens(records: Sequence[Record], limit: int) -> None:
    for record in records:
        sparse = record.output.sparse
        if sparse is not None and len(sparse) and sparse.ids[-1] >= limit:
            raise DocumentError(
                f"document {record.document.id!r} has the token {sparse.ids[-1]}, and the engine "
                f"holds tokens below {limit}; was it encoded by M3's tokenizer?"
            )


def _below(query: M3Output, limit: int) -> M3Output:
    """Leave out tokens that no document of the database can have."""
    if query.sparse is None or not len(query.sparse) or query.sparse.ids[-1] < limit:
        return query
    below = query.sparse.ids < limit
    return replace(query, sparse=Sparse(query.sparse.ids[below], query.sparse.weights[below]))
