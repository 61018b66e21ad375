"""One collection behind `pymilvus`: its rows, and the differences between engines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from threading import RLock
from time import sleep
from typing import Any

from grpc import Call, RpcError, StatusCode
from pymilvus import MilvusClient

from m3kit._batching import batched
from m3kit.filters import All
from m3kit_milvus.layout import Column, Engine, Key, Layout, Row
from m3kit_milvus.quiet import silenced

_PAGE = 256
_KEYS = 4_096
_SAMPLE = 16

_FLUSHED = 1_000
"""
How many rows Milvus Lite holds unflushed.

It searches those row by row in Python, some 0.1 ms each, and flushes a thousand in as much.
"""

_SEEN_S = 0.005
"""Milvus Lite's core in C++ reads as of the last millisecond."""

_LITE = RLock()
"""
Milvus Lite is not made for writers that meet; it is Python, so that one lock costs little.

A lock of this process: what others do to one `milvus-lite server` is their affair.
"""


class Connection:
    """
    A client that calls one collection, in the way that its engine asks for.

    Args:
        client: A connected client.
        name: The collection, or an alias of it.
        timeout: How many seconds each call may take.
    """

    def __init__(self, client: MilvusClient, name: str, timeout: float) -> None:
        self.client = client
        self.name = name
        self.within: dict[str, Any] = {"timeout": timeout}
        self.engine = engine_of(client, timeout)
        served = self.engine == "server"
        self.guard: AbstractContextManager[object] = nullcontext() if served else _LITE

    def exists(self) -> bool:
        """Tell whether there is such a collection."""
        return bool(self.client.has_collection(self.name, **self.within))

    def describe(self) -> Row:
        """Return what the server says of it."""
        shape: Row = self.client.describe_collection(self.name, **self.within)
        return shape

    def indexes(self, field: str) -> list[str]:
        """Name the indexes on a field."""
        return list(self.client.list_indexes(self.name, field_name=field, **self.within))

    def index(self, field: str) -> Row | None:
        """Describe the index on a field, if there is one."""
        for name in self.indexes(field):
            found: Row = self.client.describe_index(self.name, name, **self.within)
            return found
        return None


class Rows:
    """
    The rows of a collection, whichever engine holds them.

    Args:
        connection: Who calls it.
        layout: What is where in a row.
        consistency: How fresh an answer is.
    """

    def __init__(self, connection: Connection, layout: Layout, consistency: str) -> None:
        self._client = connection.client
        self._name = connection.name
        self._within = connection.within
        self._engine = connection.engine
        self._guard = connection.guard
        self._key = layout.key
        self._all = layout
        self._fresh = {"consistency_level": consistency}
        self._unflushed = 0

    def write(self, rows: Sequence[Row]) -> None:
        """Write or replace rows."""
        with self._guard:
            if self._all.writing == "upsert":
                self._client.upsert(self._name, [*rows], **self._within)
            else:
                self._client.delete(
                    self._name, filter=self._all.has([row[self._key] for row in rows]),
                    **self._within,
                )  # fmt: skip
                self._client.insert(self._name, [*rows], **self._within)
            self._seen()
            self._unflushed += len(rows)
            if self._engine == "lite" and self._unflushed >= _FLUSHED:
                self.flush()

    def nearest(
        self, column: Column, vector: Any, where: str, limit: int, fields: Sequence[str]
    ) -> list[tuple[float, Row]]:
        """Return the distances and rows that match and are nearest, best first."""
        with self._guard:
            (hits,) = self._client.search(
                self._name,
                data=[vector],
                anns_field=column.anns or column.field,
                search_params={"metric_type": column.metric, "params": dict(column.search)},
                filter=where,
                limit=limit,
                output_fields=[*fields],
                **self._fresh,
                **self._within,
            )
        return [(hit["distance"], hit["entity"]) for hit in hits]

    def read(self, keys: Sequence[Key], fields: Sequence[str]) -> Iterator[Row]:
        """Read fields of the rows of these keys that there are, in any order."""
        for some in batched(keys, _PAGE):
            yield from self._query(self._all.has(some), fields)

    def keys(self, where: str) -> Iterator[Key]:
        """Stream the keys of the rows that match."""
        return (row[self._key] for row in self.stream(where, [self._key]))

    def stream(self, where: str, fields: Sequence[str]) -> Iterator[Row]:
        """Stream small fields of the rows that match: Milvus Lite gives all of them at once."""
        if self._engine != "server":
            yield from self._query(where or self._all.say(All()).text, fields)
            return
        pages = self._client.query_iterator(
            self._name,
            batch_size=_KEYS,
            filter=where,
            output_fields=[*fields],
            **self._fresh,
            **self._within,
        )
        try:
            while page := pages.next():
                yield from page
        finally:
            pages.close()

    def sample(self, fields: Sequence[str]) -> list[Row]:
        """Read fields of some rows."""
        with self._guard:
            return list(
                self._client.query(
                    self._name,
                    filter="",
                    limit=_SAMPLE,
                    output_fields=[*fields],
                    **self._fresh,
                    **self._within,
                )
            )

    def delete(self, where: str) -> None:
        """Forget the rows that match."""
        with self._guard:
            self._client.delete(self._name, filter=where, **self._within)
            self._seen()

    def count(self, where: str) -> int:
        """Count the rows that match."""
        if self._engine == "lite" and where:  # whose own count reads whole rows
            return len(self._query(where, [self._key]))
        (row,) = self._query(where, ["count(*)"])
        return int(row["count(*)"])

    def flush(self) -> None:
        """Return when what was written is durable and searchable."""
        with self._guard:
            self._client.flush(self._name, **self._within)
            self._unflushed = 0

    def _seen(self) -> None:
        """Wait until a read sees what is written."""
        if self._engine == "core":
            sleep(_SEEN_S)

    def _query(self, where: str, fields: Sequence[str]) -> list[Row]:
        with self._guard:
            return list(
                self._client.query(
                    self._name,
                    filter=where,
                    output_fields=[*fields],
                    **self._fresh,
                    **self._within,
                )
            )


def engine_of(client: MilvusClient, timeout: float) -> Engine:
    """Tell what answers a client: Milvus Lite's core in C++ does not know its version."""
    try:
        with silenced():
            version = str(client.get_server_version(timeout=timeout))
    except RpcError as error:
        if isinstance(error, Call) and error.code() == StatusCode.UNIMPLEMENTED:
            return "core"
        raise
    return "lite" if version.startswith("milvus_lite") else "server"
