"""One schema of Vespa, as `m3kit.adapters.store` sees it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from m3kit._batching import batched
from m3kit.adapters.filter_translation import FilterExpression
from m3kit.adapters.store import page_size
from m3kit.filters import Filter, Ids
from m3kit.index import Search
from m3kit.records import Document, Record
from m3kit.vectors import Rep
from m3kit_vespa.client import SchemaClient, Written, is_transient
from m3kit_vespa.filters import Condition, searchable, to_condition
from m3kit_vespa.layout import Layout, is_addressable
from m3kit_vespa.search import VespaSearcher
from m3kit_vespa.vectors import TOKEN_ID_LIMIT
from m3kit_vespa.yql import EVERYTHING

_LISTED = 10_000
"""How many documents one query lists; if more match, every document is visited."""


class VespaStore:
    """
    The documents of a schema.

    Args:
        client: The schema.
        layout: Where documents lie in it.
    """

    token_id_limit = TOKEN_ID_LIMIT
    is_transient = staticmethod(is_transient)

    def __init__(self, client: SchemaClient, layout: Layout) -> None:
        self._client = client
        self._layout = layout
        self.manifest = layout.manifest

    def check(self, document: Document, /) -> None:
        """Check the id and the metadata; see `Store.check`."""
        self._layout.check(document)

    def write(self, records: Sequence[Record], /) -> None:
        """
        Write records, several at once.

        Raises:
            DocumentError: If Vespa cannot hold a document; none is written then.
            FeedError: If Vespa refused some of them; the others are written.
        """
        for record in records:
            self._layout.check(record.document)
        self._client.write(map(self._written, records))

    def translate(self, where: Filter, /) -> FilterExpression[Condition]:
        """Translate a filter."""
        return to_condition(where, self._layout)

    def prepare_search(self, search: Search, where: Condition | None, /) -> VespaSearcher:
        """Prepare a search."""
        return VespaSearcher(self._client, self._layout, search, searchable(where))

    def read(self, ids: Sequence[str], reps: Collection[Rep], /) -> Mapping[str, Record]:
        """Read the records of these ids that there are, with `reps` of them."""
        if self._layout.is_native:
            records = self._queried(dict.fromkeys(ids), reps)
        else:
            records = self._got(filter(is_addressable, dict.fromkeys(ids)), reps)
        return {record.document.id: record for record in records}

    def scan(self, where: Condition | None, reps: Collection[Rep], /) -> Iterator[Record]:
        """Stream what matches, document by document, or if that is much by a visit to all."""
        if where is not None and where.yql is None:
            return iter(self.read(where.ids, reps).values())
        yql = searchable(where)
        if yql == EVERYTHING or self._client.count(yql) > _LISTED:
            visited = self._client.visit(self._layout.selected(reps))
            return (self._layout.to_record(fields, reps) for fields in visited)
        listed = self._listed(yql, *self._layout.id_fields)
        if self._layout.is_native:
            return self._queried(map(self._layout.to_id, listed), reps)
        return self._got(map(self._layout.to_name, listed), reps)

    def delete(self, where: Condition, /) -> None:
        """Delete matching documents, as many at a time as one query lists."""
        layout = self._layout
        if where.yql is None:
            able = filter(is_addressable, where.ids)
            self._client.delete((id_, layout.document_name(id_)) for id_ in able)
        elif where.yql == EVERYTHING:
            self._client.delete_all()
        else:
            while listed := self._listed(where.yql, "documentid", *layout.id_fields):
                self._client.delete((layout.to_id(of), layout.to_name(of)) for of in listed)

    def count(self, where: Condition | None, /) -> int:
        """Count what matches."""
        if where is not None and where.yql is None:
            return len(self.read(where.ids, ()))
        return self._client.count(searchable(where))

    def flush(self) -> None:
        """Do nothing: a document is in the log of its node, and found, before Vespa answers."""

    def _written(self, record: Record) -> Written:
        """Defer how a document is written until its turn, so that not all are in memory at once."""
        document = record.document
        return (
            document.id,
            self._layout.document_name(document.id),
            lambda: {
                **self._layout.to_fields(document),
                **self._layout.to_vectors(record.output),
            },
        )

    def _listed(self, yql: str, *fields: str) -> list[Mapping[str, Any]]:
        """List fields of the documents that match."""
        select = dict.fromkeys(fields)
        hits = self._client.search(yql, select=select, hits=_LISTED, ranking="unranked")
        return [hit["fields"] for hit in hits]

    def _queried(self, ids: Iterable[str], reps: Collection[Rep]) -> Iterator[Record]:
        """Read documents by queries, a page each."""
        select = self._layout.selected(reps)
        for page in batched(ids, page_size(reps)):
            condition = to_condition(Ids(tuple(page)), self._layout).expression
            hits: list[Any] = self._client.search(
                searchable(condition), select=select, hits=len(page), ranking="unranked"
            )
            fields = (hit["fields"] for hit in hits if self._layout.id_fields[0] in hit["fields"])
            yield from (self._layout.to_record(of, reps) for of in fields)

    def _got(self, names: Iterable[str], reps: Collection[Rep]) -> Iterator[Record]:
        """Read documents one by one, by their names in Vespa."""
        for name in names:
            if (fields := self._client.get(name)) is not None:
                yield self._layout.to_record(fields, reps)
