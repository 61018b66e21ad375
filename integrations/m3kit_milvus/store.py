"""The verbs of `m3kit.adapters.store.Store`, over the rows of one collection."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from m3kit._batching import batched, chunked
from m3kit.adapters.filter_translation import FilterExpression
from m3kit.adapters.store import PAGE
from m3kit.filters import Filter
from m3kit.index import Search
from m3kit.records import Document, Record
from m3kit.vectors import Rep
from m3kit_milvus.client import CollectionClient, Key, Row, is_transient
from m3kit_milvus.filters import to_milvus
from m3kit_milvus.layout import Layout
from m3kit_milvus.search import MilvusSearcher
from m3kit_milvus.vectors import NO_TOKEN, nbytes, to_output

_BATCH_ROWS = 500
_BATCH_BYTES = 16 * 2**20
"""What is written at once; a server takes messages of 64 MB, Milvus Lite 2.5 few rows at a time."""


class MilvusStore:
    """
    A collection, as an `m3kit.adapters.store.Store`.

    Args:
        client: Calls the collection.
        layout: How documents lie in it.
    """

    token_id_limit = NO_TOKEN
    is_transient = staticmethod(is_transient)

    def __init__(self, client: CollectionClient, layout: Layout) -> None:
        self.client = client
        self.layout = layout
        self.manifest = layout.manifest
        self.delete, self.flush = client.delete, client.flush

    def check(self, document: Document, /) -> None:
        """Check sizes, the id and the metadata; see `Store.check`."""
        self.layout.check_writable()
        self.layout.to_fields(document)

    def write(self, records: Sequence[Record], /) -> None:
        """Write records, batch by batch; see `Store.write`."""
        self.layout.check_writable()
        rows = [self.layout.to_row(record) for record in records]
        for chunk in chunked(rows, size=nbytes, budget=_BATCH_BYTES):
            for batch in batched(chunk, _BATCH_ROWS):
                self._write(batch)

    def translate(self, where: Filter, /) -> FilterExpression[str]:
        """Translate a filter; see `Store.translate`."""
        return to_milvus(where, self.layout)

    def prepare_search(self, search: Search, where: str | None, /) -> MilvusSearcher:
        """Prepare a search; see `Store.prepare_search`."""
        return MilvusSearcher(self.client, self.layout, search, where or "")

    def read(self, ids: Sequence[str], reps: Collection[Rep], /) -> dict[str, Record]:
        """Read records; see `Store.read`."""
        records = self._records(self.layout.keys(ids), reps)
        return {record.document.id: record for record in records}

    def scan(self, where: str | None, reps: Collection[Rep], /) -> Iterator[Record]:
        """Stream records, page by page; see `Store.scan`."""
        keys = self.client.stream(where or self._all, [self.layout.id_field])
        for page in batched((row[self.layout.id_field] for row in keys), PAGE):
            yield from self._records(page, reps)

    def count(self, where: str | None, /) -> int:
        """Count what matches; see `Store.count`."""
        return self.client.count(where or "", self.layout.id_field)

    @property
    def _all(self) -> str:
        return "" if self.client.engine == "server" else self.layout.everything

    def _write(self, rows: list[Row]) -> None:
        if self.layout.schema.auto_id:
            keys = [row[self.layout.id_field] for row in rows]
            self.client.replace(self.layout.has_keys(keys), rows)
        else:
            self.client.upsert(rows)

    def _records(self, keys: Sequence[Key], reps: Collection[Rep]) -> Iterator[Record]:
        layout = self.layout
        fields = [*layout.document_fields, *(layout.columns[rep].field for rep in reps)]
        for page in batched(keys, PAGE):
            for row in self.client.query(layout.has_keys(page), fields):
                output = to_output(row, layout.columns, reps, self.manifest.colbert.dtype)
                yield Record(layout.to_document(row), output)
